//! The desk: where people change how they sign in, and where invitations are accepted.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::task::spawn_blocking;

use super::{
    Account, Change, ChangeError, Desk, LocalError, LocalProvider, Password, PasswordHash,
    accounts::MAX_PASSKEYS,
    ticket::{self, DeskPass, FORM_LIFETIME, Ticket, TicketPurpose},
};
use crate::{
    clock::Timestamp,
    crypto::digest,
    telemetry::{Act, Actor, AuditEvent},
    webauthn::{Passkey, Registration},
};

/// Of what somebody calls a passkey, in characters.
const MAX_LABEL: usize = 64;

/// A change that was looked at, and can be made at once.
enum Checked {
    Password(PasswordHash),
    NoPassword,
    AddPasskey(Box<Passkey>),
    RemovePasskey(Vec<u8>),
}

impl LocalProvider {
    /// What the cookie of the desk opens.
    pub fn desk(&self, cookie: &str) -> Result<Option<Desk>, LocalError> {
        let Some(account) = self.at_desk(cookie) else {
            return Ok(None);
        };
        let purpose = |account, passkey| TicketPurpose::Change { account, passkey };
        self.desk_of(account, purpose).map(Some)
    }

    /// What a one-time link opens. Looking does not use it.
    pub async fn invitation(&self, secret: &str) -> Result<Option<Desk>, LocalError> {
        self.refreshed().await;
        let invited = self.accounts().by_invitation(secret, self.now());
        let Some(account) = invited.filter(|account| self.may_sign_in(account)) else {
            return Ok(None);
        };
        let purpose = |account, passkey| TicketPurpose::Accept { account, passkey };
        self.desk_of(account, purpose).map(Some)
    }

    fn desk_of(
        &self,
        account: Arc<Account>,
        purpose: impl FnOnce(String, Registration) -> TicketPurpose,
    ) -> Result<Desk, LocalError> {
        let email = account.email.as_str();
        let (passkey_options, passkey) = self.ceremonies().register(
            account.id.as_bytes(),
            email,
            account.name.as_deref().unwrap_or(email),
            &account.passkeys,
        )?;
        let until = self.now() + FORM_LIFETIME;
        let ticket = Ticket::new(purpose(account.id.clone(), passkey), until)?;
        Ok(Desk {
            ticket: self.seal_ticket(&ticket)?,
            passkey_options,
            can_change: self.accounts().can_change(),
            account,
        })
    }

    fn at_desk(&self, cookie: &str) -> Option<Arc<Account>> {
        let pass: DeskPass = ticket::open(cookie, self.passes(), self.host(), self.now())?;
        self.standing(&pass.account, &pass.version)
    }

    /// Changes how somebody signs in. The cookie's next value comes back.
    pub async fn change(
        &self,
        cookie: &str,
        ticket: &str,
        change: Change<'_>,
    ) -> Result<String, ChangeError> {
        self.refreshed().await;
        let at_desk = self.at_desk(cookie).ok_or(ChangeError::Over)?;
        let Some(Ticket {
            id,
            until,
            purpose: TicketPurpose::Change { account, passkey },
        }) = self.open_ticket(ticket)
        else {
            return Err(ChangeError::Over);
        };
        if account != at_desk.id {
            return Err(ChangeError::Over);
        }
        let checked = self.check(&at_desk, change, (&id, until, &passkey)).await?;
        let version = at_desk.version();
        let changed = self
            .write(account, move |account| {
                // Somebody else may have changed or disabled it since the cookie was looked at.
                if account.version() != version {
                    return Err(ChangeError::Over);
                }
                account.close_link();
                apply(account, checked)
            })
            .await?;
        self.changed(&changed);
        Ok(self.desk_pass(&changed, self.now())?)
    }

    fn changed(&self, account: &Account) {
        let changed = AuditEvent::new(Act::CredentialChanged, Actor::Person);
        let changed = changed.of_person(self.issuer(), &account.id);
        self.audit().record(&changed);
    }

    /// Chooses how to sign in, once.
    pub async fn accept(
        &self,
        secret: &str,
        ticket: &str,
        change: Change<'_>,
    ) -> Result<(), ChangeError> {
        self.refreshed().await;
        let now = self.now();
        let invited = self.accounts().by_invitation(secret, now);
        let invited = invited
            .filter(|account| self.may_sign_in(account))
            .ok_or(ChangeError::Over)?;
        let Some(Ticket {
            id,
            until,
            purpose: TicketPurpose::Accept { account, passkey },
        }) = self.open_ticket(ticket)
        else {
            return Err(ChangeError::Over);
        };
        if account != invited.id
            || !matches!(change, Change::Password(_) | Change::AddPasskey { .. })
        {
            return Err(ChangeError::Over);
        }
        let checked = self.check(&invited, change, (&id, until, &passkey)).await?;
        let digest = digest(secret.as_bytes());
        let account = self
            .write(account, move |account| {
                // Under the file's lock: of two who use one link at once, one does.
                let is_open = account
                    .invitation
                    .take()
                    .is_some_and(|open| open.digest == digest && open.until > now);
                if !is_open || account.is_disabled {
                    return Err(ChangeError::Over);
                }
                account.end_sessions();
                apply(account, checked)
            })
            .await?;
        self.lockout().forget(&account.id);
        self.changed(&account);
        Ok(())
    }

    /// Everything that takes time, before the file is locked.
    async fn check(
        &self,
        account: &Account,
        change: Change<'_>,
        (id, until, begun): (&str, Timestamp, &Registration),
    ) -> Result<Checked, ChangeError> {
        match change {
            Change::Password(text) => {
                let known = [
                    account.email.as_str(),
                    account.name.as_deref().unwrap_or_default(),
                ];
                let password = Password::choose(text, &known)?;
                let place = self.hashing().queue(None).ok_or(LocalError::Busy)?;
                let hash = place.work(move || password.hash()).await?;
                Ok(Checked::Password(hash?))
            }
            Change::NoPassword => Ok(Checked::NoPassword),
            Change::AddPasskey { answer, label } => {
                if account.passkeys.len() >= MAX_PASSKEYS {
                    return Err(ChangeError::TooMany);
                }
                let now = self.now();
                let passkey = self
                    .ceremonies()
                    .finish_registration(answer, begun, &plain(label), now)
                    .map_err(|error| ChangeError::Passkey(error.to_string()))?;
                // The challenge counts once.
                if !self.use_once(id, until).await? {
                    return Err(ChangeError::Over);
                }
                Ok(Checked::AddPasskey(Box::new(passkey)))
            }
            Change::RemovePasskey(id) => BASE64_URL_SAFE_NO_PAD
                .decode(id)
                .map(Checked::RemovePasskey)
                .map_err(|_| ChangeError::Over),
        }
    }

    async fn write(
        &self,
        id: String,
        change: impl FnOnce(&mut Account) -> Result<(), ChangeError> + Send + 'static,
    ) -> Result<Arc<Account>, ChangeError> {
        let accounts = Arc::clone(self.accounts());
        let written = spawn_blocking(move || {
            accounts.change_or(&id, change)?;
            accounts.by_id(&id).ok_or(ChangeError::Over)
        });
        written.await.map_err(|_| LocalError::Thread)?
    }
}

fn apply(account: &mut Account, change: Checked) -> Result<(), ChangeError> {
    match change {
        Checked::Password(hash) => account.set_password(hash),
        Checked::NoPassword => account.password = None,
        Checked::AddPasskey(passkey) => account.passkeys.push(*passkey),
        Checked::RemovePasskey(id) => {
            let before = account.passkeys.len();
            account.passkeys.retain(|passkey| passkey.id() != id);
            if account.passkeys.len() == before {
                return Err(ChangeError::Over);
            }
            // Whoever has the device may still have a session that it began.
            account.end_sessions();
        }
    }
    if account.is_invited_only() {
        return Err(ChangeError::LastWay);
    }
    Ok(())
}

/// One line of some length; what is empty then is called by its kind.
fn plain(label: &str) -> String {
    let label: String = label
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MAX_LABEL)
        .collect();
    let label = label.trim();
    if label.is_empty() {
        "Passkey".to_owned()
    } else {
        label.to_owned()
    }
}
