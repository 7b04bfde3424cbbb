//! The street on which it all happens: nginx as people set it up, Vestibule beside it, an application that checks with a
//! library of its own what it is told, and the model, which judges every request.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Due, Host, Limits, Model, Moment, Person};
use crate::{
    proxies,
    support::{
        browser::Browser,
        free_port,
        node::{Application, Provider},
        process::Process,
        raw::{self, Answer},
        vestibule::Configuration,
    },
};

/// The only host of the tests that use this, for people of the house.
pub const APP: Host = Host {
    name: "app",
    is_for: |person| person.email.ends_with("@example.com"),
};

/// Its route.
pub const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    allowed_domains: [example.com]
";

/// One request, as its sender saw it.
struct Asked {
    cookie: String,
    due: Due,
    sent: Moment,
    answered: Moment,
    status: u16,
}

/// All but Vestibule itself, which comes and goes.
pub struct Street {
    pub configuration: Configuration,
    pub model: Mutex<Model>,
    /// How soon it works again (H).
    pub recovery: Duration,
    asked: Mutex<Vec<Option<Asked>>>,
    unavailable: AtomicUsize,
    begun: Instant,
    application: Application,
    _nginx: Process,
    _provider: Provider,
    _folder: TempDir,
}

impl Street {
    /// With these keys in the configuration, beside routes.
    pub fn new(keys: &str, limits: Limits) -> Self {
        let configuration = Configuration::new(&format!("{keys}{ROUTES}")).behind(free_port());
        let provider = Provider::start(&configuration.redirect_uri());
        let configuration = configuration.at(&provider.issuer);
        let host = format!("app.localhost:{}", configuration.outside);
        let application = Application::start(&host, configuration.pages);
        let folder = tempfile::tempdir().unwrap();
        let nginx = proxies::nginx_before(&configuration, application.port, folder.path());
        Self {
            configuration,
            model: Mutex::new(Model::new(&[APP], limits)),
            recovery: Duration::from_secs(5),
            asked: Mutex::default(),
            unavailable: AtomicUsize::new(0),
            begun: now(),
            application,
            _nginx: nginx,
            _provider: provider,
            _folder: folder,
        }
    }

    /// Since the street is there.
    pub fn now(&self) -> Moment {
        self.begun.elapsed()
    }

    /// A page of the application's host.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.configuration.url(APP.name))
    }

    /// Tells the model of the cookie that a browser has got, if it has.
    pub fn note_login(&self, browser: &Browser, person: Person) -> Option<String> {
        let cookie = browser.cookie(&self.url("/"), "vestibule")?;
        let at = self.now();
        let mut model = self.model.lock().unwrap();
        model.signed_in(&cookie, person, APP.name, at);
        Some(cookie)
    }

    /// Signs a browser out, and tells the model of the wish and of its acknowledgement; whether there was one.
    pub fn leave(&self, browser: &mut Browser, cookie: &str) -> bool {
        let own = [
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ];
        self.model.lock().unwrap().leaves(cookie, self.now());
        let answer = browser.try_ask("GET", &self.url("/.pomerium/sign_out"), &own, b"");
        let is_told = answer.is_some_and(|answer| matches!(answer.status, 200 | 302 | 303));
        if is_told {
            self.model.lock().unwrap().left(cookie, self.now());
        }
        is_told
    }

    /// Asks for a page with a cookie, and has the answer judged; its status.
    ///
    /// # Panics
    /// When it is not what had to come.
    pub fn ask(&self, cookie: &str) -> u16 {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(None);
            asked.len() - 1
        };
        let port = self.configuration.outside;
        let host = format!("app.localhost:{port}");
        let header = format!("vestibule={cookie}");
        let sent = self.now();
        let answer = raw::request(
            port,
            "GET",
            &format!("/asked/{number}"),
            &host,
            &[("Cookie", &header)],
        );
        let answered = self.now();
        let answer = answer.unwrap_or_else(|| panic!("nginx closed a connection"));
        let due = {
            let mut model = self.model.lock().unwrap();
            let due = model.due(APP.name, cookie, sent, answered);
            self.judge(&model, due, sent, answered, &answer);
            if answer.status == 200 {
                model.used(cookie, answered);
            }
            due
        };
        self.asked.lock().unwrap()[number] = Some(Asked {
            cookie: cookie.to_owned(),
            due,
            sent,
            answered,
            status: answer.status,
        });
        answer.status
    }

    fn judge(&self, model: &Model, due: Due, sent: Moment, answered: Moment, answer: &Answer) {
        let status = answer.status;
        assert_eq!(
            answer.header("set-cookie"),
            None,
            "B: a cookie goes: {answer:?}"
        );
        match (status, due) {
            (200, Due::Open | Due::Unknown) => {
                assert!(
                    !model.is_too_late(sent, answered),
                    "G: a yes at {answered:?}"
                );
            }
            (401, Due::Closed | Due::Unknown) => {}
            (500..=504, _) => {
                self.unavailable.fetch_add(1, Ordering::Relaxed);
                assert!(
                    model.is_excused(sent, answered, self.recovery),
                    "H: {status} at {answered:?}"
                );
            }
            (200, Due::Closed) => panic!("A, C: let in at {answered:?}"),
            (401, Due::Open) => panic!("B: refused at {answered:?}"),
            _ => panic!("{status}: {answer:?}"),
        }
    }

    /// How many were told to come back later.
    pub fn unavailable(&self) -> usize {
        self.unavailable.load(Ordering::Relaxed)
    }

    /// Judges what has reached the application; how many requests that were.
    ///
    /// # Panics
    /// When something did that should not have.
    pub fn settle(&self) -> usize {
        let seen = self.application.recorded();
        let asked = self.asked.lock().unwrap();
        let model = self.model.lock().unwrap();
        let mut let_in = 0;
        for record in &seen {
            let url = record["url"].as_str().unwrap();
            // Where logins lead to, in browsers that are not asked for.
            let Some(number) = url.strip_prefix("/asked/") else {
                continue;
            };
            let asked = asked[number.parse::<usize>().unwrap()].as_ref().unwrap();
            assert_eq!(asked.status, 200, "{url} reached the application");
            assert_ne!(asked.due, Due::Closed, "A: {url}");
            assert!(!model.is_too_late(asked.sent, asked.answered), "G: {url}");
            is_of(record, model.owner(&asked.cookie).unwrap());
            let_in += 1;
        }
        let told: usize = asked
            .iter()
            .flatten()
            .filter(|one| one.status == 200)
            .count();
        assert_eq!(told, let_in, "a page that is not the application's");
        let_in
    }
}

/// What the application was told speaks of this person, for this application, and its signature is right.
fn is_of(record: &Value, person: Person) {
    let assertion = &record["assertion"];
    assert_eq!(assertion["valid"], true, "A: {record}");
    assert_eq!(assertion["payload"]["aud"], "app.localhost", "A: {record}");
    assert_eq!(assertion["payload"]["sub"], person.subject, "D: {record}");
    assert_eq!(assertion["payload"]["email"], person.email, "D: {record}");
    let headers = record["headers"].as_array().unwrap();
    let emails: Vec<&str> = headers
        .iter()
        .filter(|pair| {
            pair[0]
                .as_str()
                .unwrap()
                .eq_ignore_ascii_case("x-pomerium-claim-email")
        })
        .map(|pair| pair[1].as_str().unwrap())
        .collect();
    assert_eq!(emails, [person.email], "D: {record}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is judged happens by the machine's clock"
)]
fn now() -> Instant {
    Instant::now()
}
