//! Where a browser goes on to that has signed out, and how it comes back for that from the provider.
//!
//! # Why
//! The provider leads back to one address that is registered there, with the `state` that it was given (OpenID Connect
//! RP-Initiated Logout §2). The way onward is sealed into it, and an address gets there only that was checked before, so
//! that whoever invents, alters or repeats a state reaches our page and nothing else. Where the authenticate host itself
//! answered, its browser was given a secret too, and the state counts in that browser alone. An application host can
//! leave no cookie on the authenticate host: its state counts once, in any browser, and still leads only to an address of
//! ours or of the operator.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tracing::{debug, warn};
use url::form_urlencoded;

use super::{Place, Places, SafeRedirect};
use crate::{
    address::{Host, Origin},
    clock::{Clock, Timestamp},
    crypto::{CryptoError, Keyring, Purpose, SealedQuery, Sealer, digest, random_text},
    store::{Key, Store},
};

/// How long somebody may take at the provider.
pub const FAREWELL_LIFETIME: Duration = Duration::from_mins(10);
/// The kind of record that marks a state as used.
const RETURNED: u8 = b'f';
/// The authenticate side's way out, as Pomerium has it.
const SIGN_OUT: &str = "/.pomerium/sign_out";

/// Where people go on to who have signed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignedOutSettings {
    /// Unless they ask for something else.
    pub to: Option<SafeRedirect>,
    /// Hosts beside our own that they may ask for.
    pub hosts: Vec<Host>,
}

impl SignedOutSettings {
    /// To our own page, unless they ask for one of our hosts.
    pub const fn here() -> Self {
        Self {
            to: None,
            hosts: Vec::new(),
        }
    }
}

impl Places {
    /// The way onward that was asked for, if it leads to one of our hosts or to a listed one. Anything else is ignored, as
    /// Pomerium ignores it.
    fn asked_for(&self, requested: &str) -> Option<SafeRedirect> {
        let onward = self
            .own_page(requested)
            .or_else(|| SafeRedirect::listed(requested, &self.signed_out().hosts));
        if onward.is_none() {
            debug!(
                "an address to go on to after signing out was ignored: its host is neither ours nor in \
                 signout_redirect_hosts"
            );
        }
        onward
    }

    fn own_page(&self, requested: &str) -> Option<SafeRedirect> {
        let (_, rest) = requested.split_once("://")?;
        let host = Host::parse(rest.split('/').next()?).ok()?;
        SafeRedirect::absolute_page(&self.find(&host)?.origin, requested)
    }

    /// The way onward: what was asked for, else what the operator says.
    pub fn onward(&self, requested: Option<&str>) -> Option<SafeRedirect> {
        requested
            .and_then(|requested| self.asked_for(requested))
            .or_else(|| self.signed_out().to.clone())
    }
}

/// The rest of a way that leads through the provider.
#[derive(Serialize, Deserialize)]
struct Journey {
    secret: String,
    begun: Timestamp,
    /// Whether the browser was given the secret.
    is_bound: bool,
    onward: Option<String>,
}

/// What goes along to the provider, and what stays.
pub(super) struct Parting {
    /// The parameter `state`.
    pub state: String,
    /// For the browser to keep, where it can.
    pub secret: Option<String>,
}

/// Seals ways onward, and opens them once.
pub(super) struct Farewells {
    sealer: Sealer,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Farewells {
    pub(super) fn new(
        keyring: &Keyring,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CryptoError> {
        Ok(Self {
            sealer: keyring.sealer(Purpose::Farewell)?,
            store,
            clock,
        })
    }

    /// A state for a browser that leaves `place`.
    pub(super) fn part(
        &self,
        place: &Place,
        authenticate: &Origin,
        onward: Option<&SafeRedirect>,
    ) -> Result<Parting, CryptoError> {
        let journey = Journey {
            secret: random_text()?,
            begun: self.clock.now(),
            is_bound: place.is_authenticate,
            onward: onward.map(ToString::to_string),
        };
        let plain = postcard::to_stdvec(&journey).map_err(|_| CryptoError::Seal)?;
        Ok(Parting {
            state: self.sealer.seal_text(authenticate.host().name(), &plain)?,
            secret: journey.is_bound.then_some(journey.secret),
        })
    }

    /// The way onward of who comes back with `state`, in the browser that shows `secret`.
    pub(super) async fn come_back(
        &self,
        authenticate: &Origin,
        state: &str,
        secret: Option<&str>,
    ) -> Option<SafeRedirect> {
        let now = self.clock.now();
        let plain = self.sealer.open_text(authenticate.host().name(), state);
        let journey: Journey = postcard::from_bytes(&plain.ok()?).ok()?;
        let end = journey.begun + FAREWELL_LIFETIME;
        let is_due = now < end && now >= journey.begun - FAREWELL_LIFETIME;
        let digest = digest(journey.secret.as_bytes());
        let is_here = !journey.is_bound
            || secret.is_some_and(|secret| crate::crypto::digest(secret.as_bytes()) == digest);
        if !is_due || !is_here {
            return None;
        }
        let onward = journey.onward?;
        // Twice its life, for a clock that was put back.
        let until = end + FAREWELL_LIFETIME;
        let key = Key::new(RETURNED, digest);
        match self.store.put_new(key, Vec::new(), until, now).await {
            Ok(true) => Some(SafeRedirect::unsealed(onward)),
            Ok(false) => None,
            Err(error) => {
                warn!(error = %error, "who came back from signing out was not led on");
                None
            }
        }
    }
}

/// Where a browser goes whose session at this gate has ended: to the authenticate side's way out, with what is `sealed` for
/// it, and signed for a Pomerium or a Vestibule that has our shared secret. The way onward was checked here, and counts
/// there because of the signature; without one it has to be listed there too.
pub(super) fn hand_over(
    authenticate: &Origin,
    sealed: &SealedQuery,
    onward: Option<&SafeRedirect>,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<SafeRedirect, CryptoError> {
    let mut url = format!("{authenticate}{SIGN_OUT}?{}", sealed.to_query());
    if let Some(onward) = onward {
        let onward: String = form_urlencoded::byte_serialize(onward.as_str().as_bytes()).collect();
        url.push_str("&pomerium_redirect_uri=");
        url.push_str(&onward);
    }
    let now = u64::try_from(now.seconds()).unwrap_or_default();
    let signed = keyring.sign_url(&url, now)?;
    Ok(SafeRedirect::signed(authenticate, &signed))
}

/// A request to sign somebody out that one of our gates has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Where to go on to, if it says.
    pub onward: Option<SafeRedirect>,
}

/// What a gate has signed for the way out of `origin`, if `path_and_query` was: where to go on to, if it says.
pub(super) fn handed(
    origin: &Origin,
    path_and_query: &str,
    keyring: &Keyring,
    now: Timestamp,
) -> Option<Handed> {
    let now = u64::try_from(now.seconds()).ok()?;
    let pairs = keyring.verify_url(&format!("{origin}{path_and_query}"), now);
    let pairs = pairs.ok()?;
    let onward = pairs
        .iter()
        .find(|(name, _)| name == "pomerium_redirect_uri");
    Some(Handed {
        onward: onward.and_then(|(_, text)| SafeRedirect::by_gate(text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, crypto::HandoffVersion, store::MemoryStore};

    fn keyring() -> Keyring {
        Keyring::for_tests(7).unwrap()
    }

    fn auth() -> Origin {
        Origin::parse("https://auth.example.com").unwrap()
    }

    fn place(is_authenticate: bool) -> Place {
        Place {
            origin: auth(),
            is_application: !is_authenticate,
            is_authenticate,
        }
    }

    struct Scene {
        farewells: Farewells,
        clock: Arc<ManualClock>,
    }

    fn scene() -> Scene {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_seconds(
            1_800_000_000,
        )));
        let store = Arc::new(MemoryStore::default());
        let its_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        Scene {
            farewells: Farewells::new(&keyring(), store, its_clock).unwrap(),
            clock,
        }
    }

    fn onward() -> SafeRedirect {
        SafeRedirect::configured("https://www.example.com/bye").unwrap()
    }

    #[tokio::test]
    async fn a_state_of_the_authenticate_host_counts_once_and_in_its_browser() {
        let scene = scene();
        let parting = scene.farewells.part(&place(true), &auth(), Some(&onward()));
        let Parting { state, secret } = parting.unwrap();
        let secret = secret.unwrap();
        let back = |secret| scene.farewells.come_back(auth_ref(), &state, secret);

        assert_eq!(back(None).await, None);
        assert_eq!(back(Some("another")).await, None);
        assert_eq!(back(Some(&secret)).await, Some(onward()));
        assert_eq!(back(Some(&secret)).await, None);
    }

    fn auth_ref() -> &'static Origin {
        static ORIGIN: std::sync::LazyLock<Origin> = std::sync::LazyLock::new(auth);
        &ORIGIN
    }

    #[tokio::test]
    async fn a_state_of_an_application_host_counts_once() {
        let scene = scene();
        let parting = scene
            .farewells
            .part(&place(false), &auth(), Some(&onward()));
        let Parting { state, secret } = parting.unwrap();
        assert_eq!(secret, None);
        let back = || scene.farewells.come_back(auth_ref(), &state, None);

        assert_eq!(back().await, Some(onward()));
        assert_eq!(back().await, None);
    }

    #[tokio::test]
    async fn what_is_no_state_of_ours_or_too_old_leads_nowhere() {
        let scene = scene();
        let state = |onward: Option<SafeRedirect>| {
            let parting = scene
                .farewells
                .part(&place(false), &auth(), onward.as_ref());
            parting.unwrap().state
        };
        let good = state(Some(onward()));
        let other = Origin::parse("https://app.example.com").unwrap();
        for text in [
            "",
            "x",
            "https://evil.test/",
            &good[1..],
            &format!("{good}A"),
        ] {
            assert_eq!(
                scene.farewells.come_back(auth_ref(), text, None).await,
                None
            );
        }
        assert_eq!(scene.farewells.come_back(&other, &good, None).await, None);
        let nowhere = state(None);
        assert_eq!(
            scene.farewells.come_back(auth_ref(), &nowhere, None).await,
            None
        );

        scene.clock.advance(600);

        assert_eq!(
            scene.farewells.come_back(auth_ref(), &good, None).await,
            None
        );
    }

    #[test]
    fn a_gate_hands_over_what_the_authenticate_side_takes_for_five_minutes() {
        let keyring = keyring();
        let now = Timestamp::from_seconds(1_800_000_000);

        let own = keyring.handoff();
        let sealed = own
            .seal(own.public(), &[("a", "b")], HandoffVersion::V2)
            .unwrap();
        let to = hand_over(&auth(), &sealed, Some(&onward()), &keyring, now).unwrap();
        let plain = hand_over(&auth(), &sealed, None, &keyring, now).unwrap();

        let query = |to: &SafeRedirect| {
            let rest = to.as_str().strip_prefix("https://auth.example.com");
            rest.unwrap().to_owned()
        };
        let late = now + Duration::from_mins(7);
        let other = Origin::parse("https://app.example.com").unwrap();
        assert!(query(&to).starts_with("/.pomerium/sign_out?"));
        assert_eq!(
            handed(&auth(), &query(&to), &keyring, now),
            Some(Handed {
                onward: Some(onward())
            })
        );
        assert_eq!(
            handed(&auth(), &query(&plain), &keyring, now),
            Some(Handed { onward: None })
        );
        assert_eq!(handed(&auth(), &query(&to), &keyring, late), None);
        assert_eq!(handed(&other, &query(&to), &keyring, now), None);
        assert_eq!(handed(&auth(), "/.pomerium/sign_out", &keyring, now), None);
        let altered = query(&to).replace("www.example.com", "evil.test");
        assert_eq!(handed(&auth(), &altered, &keyring, now), None);
    }

    #[test]
    fn what_is_signed_leads_to_a_page_of_the_web_and_nothing_else() {
        let keyring = keyring();
        for hostile in [
            "javascript:alert(1)",
            "javascript://www.example.com/%0aalert(1)",
            "data:text/html,x",
            "//evil.test",
            "https://a@evil.test/",
            "https://evil.test\\@www.example.com/",
            "ftp://www.example.com/",
        ] {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("pomerium_redirect_uri", hostile)
                .finish();
            let url = format!("{}{SIGN_OUT}?{query}", auth());
            let signed = keyring.sign_url(&url, 1_800_000_000).unwrap();
            let rest = signed.strip_prefix("https://auth.example.com").unwrap();
            let now = Timestamp::from_seconds(1_800_000_000);

            assert_eq!(
                handed(&auth(), rest, &keyring, now),
                Some(Handed { onward: None }),
                "{hostile}"
            );
        }
    }
}
