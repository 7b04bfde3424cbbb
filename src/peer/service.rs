//! The authenticate service that people are sent to, and by which key it is known.
//!
//! The key is pinned, or fetched and kept as long as the service says. While it cannot be fetched the last one counts on,
//! for a day; when it changes, answers under the earlier one are still opened for a while, so that nobody who is just
//! logging in notices.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{
    Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use tracing::{info, warn};

use super::{Answer, PeerError, Question, VerificationError};
use crate::{
    address::Origin,
    clock::Timestamp,
    crypto::{HandoffKey, PublicKey, SealedQuery},
    fetch::HttpClient,
    identity::ProviderState,
};

const PATH: &str = "/.well-known/pomerium/hpke-public-key";
/// How long a key counts without asking again, whatever the service says.
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(1);
/// How long it counts when the service does not say.
const USUAL: Duration = Duration::from_mins(5);
/// How long a key counts on while the service gives none.
const STALE: Duration = Duration::from_hours(24);
/// How long an earlier key still opens answers.
const OVERLAP: Duration = Duration::from_mins(10);
/// How long it is not asked again after it gave none: shortly when nobody can log in until it does, longer while an
/// earlier key serves, since somebody waits for each answer.
const PAUSE: Duration = Duration::from_secs(2);
const STALE_PAUSE: Duration = Duration::from_secs(30);

/// A remote authenticate service.
pub struct AuthenticateService {
    origin: String,
    pinned: Vec<PublicKey>,
    http: HttpClient,
    known: Mutex<Known>,
    /// Whoever asks holds it, so that many who wait ask once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    current: Option<Fetched>,
    /// The key before, and until when it opens answers.
    previous: Option<(PublicKey, Timestamp)>,
    /// When it last was asked in vain, if nothing was given since.
    failed: Option<Timestamp>,
}

#[derive(Clone)]
struct Fetched {
    key: PublicKey,
    at: Timestamp,
    fresh_for: Duration,
}

impl Fetched {
    /// A clock that was turned back makes nothing fresh.
    fn is_younger_than(&self, age: Duration, now: Timestamp) -> bool {
        self.at <= now && now.since(self.at) < age
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.is_younger_than(self.fresh_for, now)
    }
}

impl AuthenticateService {
    /// The service at an address. With pinned keys it is never asked, and nothing else counts; the first of them is
    /// sealed to.
    pub fn new(origin: &Origin, pinned: Vec<PublicKey>, http: HttpClient) -> Self {
        Self {
            origin: origin.to_string(),
            pinned,
            http,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The key to seal to.
    pub async fn key(&self, now: Timestamp) -> Result<PublicKey, PeerError> {
        if let Some(pinned) = self.pinned.first() {
            return Ok(pinned.clone());
        }
        if let Some(fresh) = self.lock().current.clone().filter(|it| it.is_fresh(now)) {
            return Ok(fresh.key);
        }
        let asked = self.ask(now, |known| known.is_fresh(now)).await;
        let last = self.lock().current.clone();
        match (asked, last) {
            (Ok(()), Some(it)) => Ok(it.key),
            (Err(_), Some(it)) if it.is_younger_than(STALE, now) => Ok(it.key),
            (Err(error), _) => Err(error),
            (Ok(()), None) => Err(PeerError::NoKey),
        }
    }

    /// The keys under which answers count just now.
    pub async fn keys_that_count(&self, now: Timestamp) -> Result<Vec<PublicKey>, PeerError> {
        if !self.pinned.is_empty() {
            return Ok(self.pinned.clone());
        }
        let current = self.key(now).await?;
        let previous = self.lock().previous.clone();
        let previous = previous.filter(|(_, until)| now < *until);
        let mut keys = vec![current];
        keys.extend(previous.map(|(key, _)| key));
        Ok(keys)
    }

    /// Whether a sender is the service. One that is not known may have a new key: then it is asked once more, at most
    /// each minute, since anybody can claim to be it.
    pub async fn is(&self, sender: &PublicKey, now: Timestamp) -> Result<bool, PeerError> {
        if self.keys_that_count(now).await?.contains(sender) {
            return Ok(true);
        }
        if !self.pinned.is_empty() {
            return Ok(false);
        }
        let was_just_asked = |known: &Fetched| known.is_younger_than(SHORTEST, now);
        if let Err(error) = self.ask(now, was_just_asked).await {
            warn!(error = %error, "a sender is not the authenticate service by the key that is known");
        }
        Ok(self.keys_that_count(now).await?.contains(sender))
    }

    /// Asks for the key if the last one is no longer fresh. For a background task.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), PeerError> {
        if !self.pinned.is_empty() {
            return Ok(());
        }
        self.ask(now, |known| known.is_fresh(now)).await
    }

    /// Asks whose token that is. Its word counts for this question only, under its own key.
    pub async fn verify(
        &self,
        question: &Question,
        own: &HandoffKey,
        now: Timestamp,
    ) -> Result<Answer, PeerError> {
        let key = self.key(now).await?;
        let sealed = question.seal(own, &key, now).map_err(PeerError::Seal)?;
        let request = Request::post(format!("{}{}", self.origin, question.kind.path()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(sealed.to_query().into_bytes())?;
        let answer = self.http.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(PeerError::Answer(answer.status()));
        }
        let sealed = str::from_utf8(answer.body())
            .ok()
            .and_then(|text| SealedQuery::from_query(text).ok())
            .ok_or(VerificationError::Sealed)?;
        if !self.is(&sealed.sender, now).await? {
            return Err(VerificationError::Sealed.into());
        }
        Ok(Answer::open(&sealed, &question.nonce, own, now)?)
    }

    /// Whether people can be sent there, as far as is known.
    pub fn state(&self) -> ProviderState {
        let known = self.lock();
        let is_ready =
            !self.pinned.is_empty() || (known.current.is_some() && known.failed.is_none());
        if is_ready {
            ProviderState::Ready
        } else {
            ProviderState::Unreachable
        }
    }

    /// Asks, unless somebody else just did and what they got is `enough`.
    async fn ask(
        &self,
        now: Timestamp,
        enough: impl Fn(&Fetched) -> bool,
    ) -> Result<(), PeerError> {
        let _asking = self.asking.lock().await;
        {
            let known = self.lock();
            if known.current.as_ref().is_some_and(enough) {
                return Ok(());
            }
            // Who waited while another asked in vain does not ask in turn.
            let pause = if known.current.is_some() {
                STALE_PAUSE
            } else {
                PAUSE
            };
            if known
                .failed
                .is_some_and(|at| at <= now && now.since(at) < pause)
            {
                return Err(PeerError::JustAsked);
            }
        }
        let fetched = self.fetch(now).await;
        let mut known = self.lock();
        match fetched {
            Ok(fetched) => {
                known.learn(&fetched, now);
                Ok(())
            }
            Err(error) => {
                warn!(error = %error, "the authenticate service gives no key");
                known.failed = Some(now);
                Err(error)
            }
        }
    }

    async fn fetch(&self, now: Timestamp) -> Result<Fetched, PeerError> {
        let request = Request::get(format!("{}{PATH}", self.origin)).body(Vec::new())?;
        let answer = self.http.send(request).await?;
        // A redirect too: whoever can be made to redirect could give a key of their own.
        if answer.status() != StatusCode::OK {
            return Err(PeerError::Answer(answer.status()));
        }
        let bytes = answer.body().as_slice();
        let bytes = bytes.try_into().map_err(|_| PeerError::NoKey)?;
        Ok(Fetched {
            key: PublicKey::from_bytes(bytes).map_err(|_| PeerError::NoKey)?,
            at: now,
            fresh_for: freshness(&answer),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // No change is left half-way, so what a poisoned lock guards is whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, fetched: &Fetched, now: Timestamp) {
        self.failed = None;
        let earlier = self.current.replace(fetched.clone());
        if let Some(earlier) = earlier.filter(|earlier| earlier.key != fetched.key) {
            info!(key = %fetched.key, "the authenticate service has a new key");
            self.previous = Some((earlier.key, now + OVERLAP));
        }
    }
}

/// How long an answer may be kept (RFC 9111 §5.2.2), within our limits.
fn freshness(answer: &Response<Vec<u8>>) -> Duration {
    let text: Vec<&str> = answer
        .headers()
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let text = text.join(",").to_ascii_lowercase();
    let mut directives = text.split(',').map(str::trim);
    if directives
        .clone()
        .any(|directive| matches!(directive, "no-store" | "no-cache"))
    {
        return SHORTEST;
    }
    directives
        .find_map(|directive| directive.strip_prefix("max-age="))
        .and_then(|seconds| seconds.trim_matches('"').parse().ok())
        .map_or(USUAL, Duration::from_secs)
        .clamp(SHORTEST, LONGEST)
}

impl fmt::Debug for AuthenticateService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateService")
            .field("origin", &self.origin)
            .field("pinned", &self.pinned)
            .finish_non_exhaustive()
    }
}
