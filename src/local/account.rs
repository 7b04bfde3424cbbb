//! Somebody who can sign in.

use serde::{Deserialize, Serialize};

use super::password::PasswordHash;
use crate::{
    clock::Timestamp,
    crypto::{digest, hex},
    identity::Email,
    webauthn::Passkey,
};

/// One account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The `sub`: made once, never given to anybody else.
    pub id: String,
    /// What the person types. Two accounts never differ in case alone.
    pub email: Email,
    /// What to call the person.
    #[serde(default)]
    pub name: Option<String>,
    /// What rules ask for.
    #[serde(default)]
    pub groups: Vec<String>,
    /// None while nobody has chosen one, or when a passkey is enough.
    #[serde(default)]
    pub password: Option<PasswordHash>,
    /// Keys on devices.
    #[serde(default)]
    pub passkeys: Vec<Passkey>,
    /// Whether it must not be used.
    #[serde(default)]
    pub is_disabled: bool,
    /// A link that lets its holder choose how to sign in, once.
    #[serde(default)]
    pub invitation: Option<Invitation>,
    /// How often its sessions were ended by changing something that does not show otherwise.
    #[serde(default)]
    pub epoch: u32,
    /// Whether it was made for a demonstration, and counts nowhere else.
    #[serde(default)]
    pub is_demo: bool,
    /// When it was made.
    pub made: Timestamp,
}

/// What is kept of a one-time link: not what it takes to make it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// SHA-256 of the link's secret.
    pub digest: [u8; 32],
    /// When it ends unused.
    pub until: Timestamp,
}

/// What it takes to make an account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// What the person will type.
    pub email: Email,
    /// What to call the person.
    pub name: Option<String>,
    /// What rules ask for.
    pub groups: Vec<String>,
    /// If it is known already.
    pub password: Option<PasswordHash>,
    /// Whether it is for a demonstration.
    pub is_demo: bool,
}

impl Account {
    /// What changes whenever a session that began before must not count any longer: another address, other groups,
    /// another password, being disabled.
    pub fn version(&self) -> String {
        // Their order says nothing.
        let mut groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        groups.sort_unstable();
        // JSON, so that no boundary between two texts can slide.
        let facts = serde_json::json!([
            self.email.as_str(),
            groups,
            self.password.as_ref().map(PasswordHash::as_str),
            self.is_disabled,
            self.epoch,
        ]);
        let digest = digest(facts.to_string().as_bytes());
        hex(digest.first_chunk::<8>().map_or(&[][..], |start| start))
    }

    /// What it is found by when somebody types an address: nobody remembers how they wrote theirs.
    pub fn typed(email: &Email) -> String {
        email.as_str().to_ascii_lowercase()
    }

    /// Ends everything that began with it: sessions, codes, the desk.
    pub const fn end_sessions(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Whoever holds a link that is still on its way could undo what its owner does.
    pub const fn close_link(&mut self) {
        self.invitation = None;
    }

    /// Another password, which ends sessions and links.
    pub fn set_password(&mut self, password: PasswordHash) {
        self.password = Some(password);
        self.close_link();
        self.end_sessions();
    }

    /// Nobody uses it until it is enabled again, and then nothing of before comes back.
    pub const fn disable(&mut self) {
        self.is_disabled = true;
        self.close_link();
        self.end_sessions();
    }

    /// Takes away every way to sign in.
    pub fn reset(&mut self) {
        self.password = None;
        self.passkeys.clear();
        self.close_link();
        self.end_sessions();
    }

    /// Whether nobody has chosen how to sign in yet.
    pub const fn is_invited_only(&self) -> bool {
        self.password.is_none() && self.passkeys.is_empty()
    }
}
