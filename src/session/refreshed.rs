//! What a provider gave for a session and has said of its owner since, and when it is asked again.
//!
//! # Why
//! This has a record of its own beside the session's: that one is written again whenever the session is used, by every
//! process that knows it, and whoever had an old one in memory would undo what another has just been told. This one is
//! replaced only by whoever knows its last bytes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{RefreshSettings, SessionError, SessionId};
use crate::{
    clock::Timestamp,
    crypto::Keyring,
    identity::{Grant, Identity, Proved, Way},
    store::Key,
};

/// The first byte of a record. Another version means: log in again.
const VERSION: u8 = 1;
/// What the record is sealed as.
const AS: &str = "grant 2";
/// The longest record that is read, in bytes.
const MAX_RECORD: usize = 2 * 1024 * 1024;
/// Tokens are renewed at most this long before they end.
const LEAD: Duration = Duration::from_mins(5);
/// And not sooner than this after they were.
const AT_LEAST: Duration = Duration::from_secs(5);
/// Sessions that wait for their turn at most. Whose turn comes last gives way, and waits again when the session is read.
const WAITING: usize = 1_000_000;

/// What the store holds of what the provider said last, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refreshed {
    version: u8,
    /// How often something new was said since the login.
    pub count: u64,
    pub grant: Grant,
    /// Who it is by now; without it who logged in.
    pub identity: Option<Identity>,
    /// When the tokens are to be renewed.
    renew_at: Option<Timestamp>,
    /// When the provider is to be asked what it says of the person.
    ask_at: Option<Timestamp>,
}

impl Refreshed {
    /// After a login.
    pub fn first(
        grant: Grant,
        settings: Option<RefreshSettings>,
        key: &Key,
        now: Timestamp,
    ) -> Self {
        let (renew_at, ask_at) = schedule(&grant, settings, key, now);
        Self {
            version: VERSION,
            count: 0,
            grant,
            identity: None,
            renew_at,
            ask_at,
        }
    }

    /// After the provider has proved the person once more.
    pub fn next(
        &self,
        proved: Proved,
        settings: Option<RefreshSettings>,
        key: &Key,
        way: Way,
        now: Timestamp,
    ) -> Self {
        let (renew_at, ask_at) = schedule(&proved.grant, settings, key, now);
        Self {
            version: VERSION,
            count: self.count.saturating_add(1),
            grant: proved.grant,
            identity: Some(proved.identity),
            // The tokens are as old as they were.
            renew_at: match way {
                Way::Tokens => renew_at,
                Way::Claims => self.renew_at,
            },
            ask_at,
        }
    }

    pub fn seal(&self, id: &SessionId, keyring: &Keyring) -> Result<Vec<u8>, SessionError> {
        let plain = postcard::to_stdvec(self)?;
        Ok(keyring.record_sealer(id.expose())?.seal(AS, &plain)?)
    }

    pub fn open(id: &SessionId, sealed: &[u8], keyring: &Keyring) -> Option<Self> {
        if sealed.len() > MAX_RECORD {
            return None;
        }
        let plain = keyring.record_sealer(id.expose()).ok()?;
        let plain = plain.open(AS, sealed).ok()?;
        // The version stands first, so that it can be read of a record whose rest has another shape.
        if plain.first() != Some(&VERSION) {
            return None;
        }
        postcard::from_bytes(&plain).ok()
    }

    /// The same with its times, where it was written while nothing was refreshed: as if its session, of `signed_in`, had begun
    /// under these settings.
    #[must_use]
    pub fn scheduled(
        mut self,
        settings: Option<RefreshSettings>,
        key: &Key,
        signed_in: Timestamp,
    ) -> Self {
        if self.due().is_none() {
            (self.renew_at, self.ask_at) = schedule(&self.grant, settings, key, signed_in);
        }
        self
    }

    /// When something is to be asked, whatever it is.
    pub fn due(&self) -> Option<Timestamp> {
        self.renew_at.into_iter().chain(self.ask_at).min()
    }

    /// What is to be asked at `now`.
    pub fn way(&self, now: Timestamp) -> Option<Way> {
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if is_due(self.renew_at) {
            return Some(Way::Tokens);
        }
        is_due(self.ask_at).then_some(Way::Claims)
    }

    /// From when on the session does not count if the provider says nothing more.
    pub fn lapses(&self, settings: Option<RefreshSettings>) -> Option<Timestamp> {
        let settings = settings?;
        // Without one nothing could have been renewed.
        self.grant.refresh_token.as_ref()?;
        Some(self.grant.ends? + settings.grace)
    }
}

/// When what was just given is renewed, and when the provider is asked for more. Sessions that began together are not
/// renewed together; for one session all processes come to the same moment.
fn schedule(
    grant: &Grant,
    settings: Option<RefreshSettings>,
    key: &Key,
    now: Timestamp,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let Some(settings) = settings else {
        return (None, None);
    };
    let ends = grant.ends.filter(|_| grant.refresh_token.is_some());
    let renew_at = ends.map(|ends| {
        let lead = (ends.since(now) / 5).min(LEAD);
        // What came without a word about its owner is as old as what it replaced.
        (ends - lead / 2 - part(lead / 2, key)).max(now + AT_LEAST)
    });
    let ask_at = grant.tells_more.then(|| {
        let span = settings.userinfo;
        now + span - part(span / 10, key)
    });
    // The token does not open anything any more when it has ended; if it is renewed, that is asked too.
    let ask_at = ask_at.filter(|at| grant.expires.is_none_or(|end| *at < end));
    (renew_at, ask_at)
}

/// A part of a span that is chance, and the same each time.
fn part(span: Duration, key: &Key) -> Duration {
    let [_, high, low, ..] = key.as_bytes();
    span * u32::from(u16::from_be_bytes([*high, *low])) / u32::from(u16::MAX)
}

/// A session whose turn it is.
#[derive(Clone, Debug)]
pub struct Due {
    /// Which.
    pub id: SessionId,
    /// How often it was tried in vain.
    pub tries: u32,
}

/// Sessions in the order in which it is their turn.
#[derive(Default)]
pub(super) struct Agenda(Mutex<Turns>);

#[derive(Default)]
struct Turns {
    by_time: BTreeMap<(Timestamp, Key), Due>,
    times: HashMap<Key, Timestamp>,
    /// Whose turn it is just now.
    under_way: HashSet<Key>,
}

impl Agenda {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        // Nothing panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a session its turn, in place of the one that it had.
    pub fn put(&self, due: Due, at: Timestamp) {
        let key = due.id.key();
        let mut turns = self.turns();
        turns.under_way.remove(&key);
        if let Some(before) = turns.times.insert(key, at) {
            turns.by_time.remove(&(before, key));
        }
        turns.by_time.insert((at, key), due);
        if turns.times.len() > WAITING
            && let Some(((_, last), _)) = turns.by_time.pop_last()
        {
            turns.times.remove(&last);
        }
    }

    /// Gives a session a turn if it has none.
    pub fn put_new(&self, due: Due, at: Timestamp) {
        let key = due.id.key();
        let turns = self.turns();
        let has_one = turns.times.contains_key(&key) || turns.under_way.contains(&key);
        drop(turns);
        if !has_one {
            self.put(due, at);
        }
    }

    /// A session has no turn any more.
    pub fn drop_one(&self, id: &SessionId) {
        self.turns().under_way.remove(&id.key());
    }

    /// Those whose turn it is, at most so many. Each is to be put back, or dropped.
    pub fn take(&self, now: Timestamp, most: usize) -> Vec<Due> {
        let mut turns = self.turns();
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(first) = turns.by_time.first_entry().filter(|it| it.key().0 <= now) else {
                break;
            };
            let ((_, key), due) = first.remove_entry();
            turns.times.remove(&key);
            turns.under_way.insert(key);
            taken.push(due);
        }
        taken
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.turns().times.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const SETTINGS: RefreshSettings = RefreshSettings {
        grace: Duration::from_hours(1),
        userinfo: Duration::from_mins(15),
    };

    fn key(first: u8) -> Key {
        Key::new(b's', [first; 32])
    }

    fn in_minutes(minutes: u64) -> Timestamp {
        NOW + Duration::from_mins(minutes)
    }

    fn grant() -> Grant {
        Grant {
            id_token: Some("h.p.s".to_owned()),
            access_token: Some("a".to_owned()),
            refresh_token: Some("r".to_owned()),
            expires: Some(in_minutes(60)),
            ends: Some(in_minutes(60)),
            tells_more: true,
            nonce: None,
        }
    }

    #[test]
    fn tokens_are_renewed_before_they_end_and_not_all_at_once() {
        let renewed = |first| {
            let refreshed = Refreshed::first(grant(), Some(SETTINGS), &key(first), NOW);
            refreshed.renew_at.unwrap()
        };

        for first in 0..=255 {
            assert!(renewed(first) >= in_minutes(55), "{first}");
            assert!(renewed(first) < in_minutes(58), "{first}");
        }
        assert!(renewed(0) > renewed(255) + Duration::from_mins(2));
        assert_eq!(renewed(7), renewed(7));
    }

    #[test]
    fn the_provider_is_asked_in_between_only_while_the_access_token_lives() {
        let asked = |grant| Refreshed::first(grant, Some(SETTINGS), &key(0), NOW).ask_at;

        assert_eq!(asked(grant()), Some(in_minutes(15)));
        for (expires, tells_more) in [(Some(in_minutes(15)), true), (None, false)] {
            let grant = Grant {
                expires,
                tells_more,
                ..grant()
            };
            assert_eq!(asked(grant), None);
        }
    }

    #[test]
    fn what_was_said_between_two_renewals_puts_neither_off() {
        let first = Refreshed::first(grant(), Some(SETTINGS), &key(9), NOW);
        let identity = Identity {
            provider: "corp".to_owned(),
            issuer: "https://idp".to_owned(),
            subject: "u".to_owned(),
            user: None,
            email: None,
            name: None,
            groups: Vec::new(),
            claims: crate::identity::Claims::default(),
        };
        let proved = Proved {
            identity,
            grant: grant(),
        };

        let at = in_minutes(15);
        let next = first.next(proved, Some(SETTINGS), &key(9), Way::Claims, at);

        assert_eq!(next.renew_at, first.renew_at);
        assert_eq!(next.lapses(Some(SETTINGS)), Some(in_minutes(120)));
        assert_eq!(next.count, 1);
        assert!(next.way(in_minutes(27)).is_none());
        assert_eq!(next.way(in_minutes(30)), Some(Way::Claims));
        assert_eq!(next.way(in_minutes(59)), Some(Way::Tokens));
    }

    #[test]
    fn nothing_is_asked_and_nothing_lapses_where_nothing_is_refreshed() {
        let off = Refreshed::first(grant(), None, &key(0), NOW);
        assert_eq!((off.due(), off.lapses(None)), (None, None));

        let lone = Grant {
            refresh_token: None,
            ends: None,
            ..grant()
        };
        let lone = Refreshed::first(lone, Some(SETTINGS), &key(0), NOW);
        assert_eq!(lone.lapses(Some(SETTINGS)), None);
        assert_eq!(lone.way(in_minutes(60)), Some(Way::Claims));
    }

    #[test]
    fn what_was_written_while_nothing_was_refreshed_is_asked_about_as_soon_as_something_is() {
        let later = |settings| {
            let off = Refreshed::first(grant(), None, &key(9), NOW);
            off.scheduled(settings, &key(9), NOW).due()
        };
        let on = Refreshed::first(grant(), Some(SETTINGS), &key(9), NOW);

        assert_eq!(later(Some(SETTINGS)), on.due());
        assert_eq!(later(None), None);
        assert_eq!(
            on.clone().scheduled(Some(SETTINGS), &key(9), in_minutes(9)),
            on
        );
    }

    #[test]
    fn a_record_opens_for_its_own_session_and_in_its_own_version() {
        let (id, other) = (SessionId::new().unwrap(), SessionId::new().unwrap());
        let keyring = Keyring::for_tests(1).unwrap();
        let mut refreshed = Refreshed::first(grant(), Some(SETTINGS), &id.key(), NOW);

        let sealed = refreshed.seal(&id, &keyring).unwrap();
        assert_eq!(
            Refreshed::open(&id, &sealed, &keyring),
            Some(refreshed.clone())
        );
        assert_eq!(Refreshed::open(&other, &sealed, &keyring), None);
        assert_eq!(Refreshed::open(&id, &sealed[1..], &keyring), None);

        refreshed.version += 1;
        let sealed = refreshed.seal(&id, &keyring).unwrap();
        assert_eq!(Refreshed::open(&id, &sealed, &keyring), None);
    }

    #[test]
    fn each_session_has_one_turn_and_they_come_in_their_order() {
        let agenda = Agenda::default();
        let ids: Vec<SessionId> = (0..4).map(|_| SessionId::new().unwrap()).collect();
        let due = |number: usize| Due {
            id: ids[number].clone(),
            tries: 0,
        };
        for (number, minutes) in [(0, 3), (1, 2), (2, 1), (3, 9), (0, 1)] {
            agenda.put(due(number), in_minutes(minutes));
        }

        assert!(agenda.take(NOW, 9).is_empty());
        assert_eq!(agenda.take(in_minutes(5), 2).len(), 2);
        let last = agenda.take(in_minutes(5), 9);
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].id, ids[1]);
        assert_eq!(agenda.len(), 1);

        agenda.put_new(due(1), NOW);
        agenda.put_new(due(3), NOW);
        assert_eq!(
            agenda.take(in_minutes(5), 9).len(),
            0,
            "one has its turn, one waits"
        );
        agenda.drop_one(&ids[1]);
        agenda.put_new(due(1), NOW);
        assert_eq!(agenda.take(NOW, 9).len(), 1);
    }
}
