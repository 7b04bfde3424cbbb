//! Logins that have begun and not ended: kept by the browser, sealed, so that who only begins costs us nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::LoginError;
use crate::{
    clock::Timestamp,
    crypto::{CryptoError, Sealer, digest, hex},
    store::Key,
};

/// From beginning to end of a login, the provider's pages included.
pub const ATTEMPT_LIFETIME: Duration = Duration::from_mins(10);
/// Attempts that one browser keeps at most: its `Cookie` header must stay small.
const MAX_ATTEMPTS: usize = 5;
/// Characters that they have together at most: proxies refuse a line of more than 8 KiB, and so every page of the host.
const MAX_LENGTH: usize = 6 * 1024;
/// The longest id: sixteen digits of time, a hyphen, sixteen digits of digest.
const MAX_ID: usize = 33;
/// The kind of record that marks a secret as used.
const USED: u8 = b'u';

/// One attempt as a browser keeps it, under a name that does not tell its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAttempt {
    /// When it began, in hexadecimal, and a digest of its secret.
    pub id: String,
    /// The sealed rest.
    pub sealed: String,
}

/// The attempts that a browser showed.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Vec<KeptAttempt>);

impl Attempts {
    /// What the cookies say.
    pub fn new(kept: Vec<KeptAttempt>) -> Self {
        Self(kept)
    }

    /// The ids that have to go when `coming` comes: the oldest ones.
    pub(super) fn surplus(&self, coming: &KeptAttempt) -> Vec<String> {
        let mut kept: Vec<&KeptAttempt> = self.0.iter().collect();
        kept.sort_unstable_by(|one, other| other.id.cmp(&one.id));
        let mut length = coming.sealed.len();
        let fits = |(position, attempt): &(usize, &KeptAttempt)| {
            length += attempt.sealed.len();
            position + 1 < MAX_ATTEMPTS && length <= MAX_LENGTH
        };
        let stay = kept.iter().copied().enumerate().take_while(fits).count();
        kept.into_iter()
            .skip(stay)
            .map(|attempt| attempt.id.clone())
            .collect()
    }

    /// The attempt whose secret this is. Two under one name are a planted cookie: neither is taken.
    fn find(&self, secret: &str) -> Option<&KeptAttempt> {
        let suffix = suffix(secret);
        let mut found = self
            .0
            .iter()
            .filter(|attempt| attempt.id.ends_with(&suffix));
        found.next().filter(|_| found.next().is_none())
    }

    /// Opens the attempt whose secret this is, and says under which id it was kept.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        secret: &str,
        sealer: &Sealer,
        audience: &str,
        now: Timestamp,
    ) -> Result<(String, T), LoginError> {
        let kept = self.find(secret).ok_or(LoginError::UnknownAttempt)?;
        let plain = sealer
            .open_text(audience, &kept.sealed)
            .map_err(|_| LoginError::UnknownAttempt)?;
        let remembered: Remembered<T> =
            postcard::from_bytes(&plain).map_err(|_| LoginError::UnknownAttempt)?;
        if remembered.secret != secret {
            return Err(LoginError::UnknownAttempt);
        }
        if now >= remembered.begun + ATTEMPT_LIFETIME || now < remembered.begun - ATTEMPT_LIFETIME {
            return Err(LoginError::Expired);
        }
        Ok((kept.id.clone(), remembered.rest))
    }
}

impl KeptAttempt {
    /// An attempt under an id that a browser shows, if the id has the form of ours.
    pub fn shown(id: &str, sealed: &str) -> Option<Self> {
        let is_ours = id.len() <= MAX_ID
            && id
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_ours.then(|| Self {
            id: id.to_owned(),
            sealed: sealed.to_owned(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered<T> {
    secret: String,
    begun: Timestamp,
    rest: T,
}

/// Seals an attempt for the browser to keep.
pub(super) fn keep<T: Serialize>(
    secret: &str,
    rest: T,
    sealer: &Sealer,
    audience: &str,
    now: Timestamp,
) -> Result<KeptAttempt, CryptoError> {
    let remembered = Remembered {
        secret: secret.to_owned(),
        begun: now,
        rest,
    };
    let plain = postcard::to_stdvec(&remembered).map_err(|_| CryptoError::Seal)?;
    Ok(KeptAttempt {
        id: format!("{:08x}{}", now.seconds(), suffix(secret)),
        sealed: sealer.seal_text(audience, &plain)?,
    })
}

/// Under what the store remembers that a secret was used.
pub(super) fn used_key(secret: &str) -> Key {
    Key::new(USED, digest(secret.as_bytes()))
}

fn suffix(secret: &str) -> String {
    let digest = hex(&digest(secret.as_bytes()));
    format!("-{}", digest.get(..16).unwrap_or_default())
}

/// How often this browser lately began a login for one and the same page: a proxy that drops our cookie leads a browser
/// in a circle otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tries {
    page: String,
    count: u32,
    since: Timestamp,
}

/// Logins for one page within [`TRIES_SPAN`] that are no circle. A browser itself gives up after some 20 redirects, and
/// each round has four.
const MAX_TRIES: u32 = 4;
/// How long a try counts.
pub const TRIES_SPAN: Duration = Duration::from_secs(30);

impl Tries {
    /// Counts one more login for `page`, on top of what the browser remembers.
    pub(super) fn count(
        remembered: Option<&str>,
        page: &str,
        now: Timestamp,
    ) -> Result<Self, LoginError> {
        let page = suffix(page);
        let earlier = remembered.and_then(Self::parse).filter(|tries| {
            tries.page == page && now >= tries.since && now.since(tries.since) < TRIES_SPAN
        });
        let tries = match earlier {
            Some(tries) => Self {
                count: tries.count.saturating_add(1),
                ..tries
            },
            None => Self {
                page,
                count: 1,
                since: now,
            },
        };
        if tries.count > MAX_TRIES {
            Err(LoginError::Circle)
        } else {
            Ok(tries)
        }
    }

    /// As the browser keeps it. Not sealed: who alters it alters when they see an error page.
    pub fn to_text(&self) -> String {
        format!("{}.{}.{}", self.count, self.since.seconds(), self.page)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        Some(Self {
            count: parts.next()?.parse().ok()?,
            since: Timestamp::from_seconds(parts.next()?.parse().ok()?),
            page: parts.next()?.to_owned(),
        })
    }
}
