//! Logins without a handoff: where the authenticate host is the application's own, and where hosts share a cookie.

use url::Url;

use crate::support::{
    browser::Browser, in_process::InProcess, misbehaving::Misbehaving, vestibule::Configuration,
};

/// Where things are, in one mode.
struct Mode {
    configuration: Configuration,
    provider: Misbehaving,
    vestibule: InProcess,
}

const SECRET: &str = "shared_secret: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

impl Mode {
    /// With these hosts below `.localhost`, the authenticate host, and further keys.
    fn start(applications: &[&str], authenticate: &str, rest: &str) -> Self {
        let routes: Vec<String> = applications
            .iter()
            .map(|name| {
                format!(
                    "  - {{ from: \"http://{name}.localhost:{{port}}\", allow_any_authenticated_user: true }}\n"
                )
            })
            .collect();
        let provider = Misbehaving::start();
        let configuration =
            Configuration::new(&format!("{SECRET}{rest}routes:\n{}", routes.concat()))
                .at(&provider.issuer);
        let yaml = configuration
            .yaml()
            .replace("http://auth.", &format!("http://{authenticate}."));
        let vestibule = InProcess::of(&configuration, &yaml).knows_its_provider();
        Self {
            configuration,
            provider,
            vestibule,
        }
    }

    /// The application is its own authenticate host; another one is not.
    fn same_host() -> Self {
        Self::start(&["app", "other"], "app", "")
    }

    /// Two applications and the authenticate host share a cookie.
    fn shared() -> Self {
        Self::start(
            &["app.corp", "wiki.corp"],
            "auth.corp",
            "cookie_domain: corp.localhost\n",
        )
    }

    /// The same hosts, and nothing shared.
    fn apart() -> Self {
        Self::start(&["app.corp", "wiki.corp"], "auth.corp", "")
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("{}{path}", self.configuration.url(host))
    }

    fn sign_in(&self, host: &str) -> String {
        self.url(host, "/.pomerium/sign_in?pomerium_redirect_uri=/a")
    }

    fn cookie(&self, browser: &Browser, host: &str, name: &str) -> Option<String> {
        browser.cookie(&self.url(host, "/"), name)
    }

    /// What a host says to a handle.
    fn status(&self, host: &str, handle: &str) -> u16 {
        self.vestibule
            .ask(&self.url(host, "/a"), &format!("vestibule={handle}"))
            .status
    }
}

#[test]
fn an_application_that_is_its_own_authenticate_host_needs_no_handoff() {
    let mode = Mode::same_host();
    let mut browser = Browser::default();

    let page = browser.open(&mode.sign_in("app"));

    assert_eq!(page.url.as_str(), mode.url("app", "/a"));
    let walked: Vec<&str> = browser.visited.iter().map(Url::path).collect();
    assert_eq!(
        walked,
        ["/.pomerium/sign_in", "/authorize", "/oauth2/callback", "/a"]
    );
    let handle = mode.cookie(&browser, "app", "vestibule").unwrap();
    assert_eq!(mode.status("app", &handle), 202);
    assert_eq!(mode.status("other", &handle), 401, "sealed for its host");
    assert_eq!(mode.cookie(&browser, "other", "vestibule"), None);
    browser.open(&mode.sign_in("other"));
    let others = mode.cookie(&browser, "other", "vestibule").unwrap();
    assert_eq!(mode.status("other", &others), 202);
    assert_eq!(mode.status("app", &others), 401);

    let out = browser.open(&mode.url("app", "/.pomerium/sign_out"));

    assert_eq!(out.answer.status, 200);
    assert_eq!(mode.status("app", &handle), 401);
}

#[test]
fn an_application_on_the_authenticate_host_never_sees_what_logs_in_elsewhere() {
    let mode = Mode::same_host();
    let mut browser = Browser::default();

    browser.open(&mode.sign_in("app"));
    browser.open(&mode.sign_in("other"));

    assert_eq!(mode.cookie(&browser, "app", "vestibule-sso"), None);
    assert_eq!(mode.provider.asked("/authorize").len(), 2, "each host asks");
    // Its own handle, shown as that of the authenticate host or as its own, does not do either.
    let handle = mode.cookie(&browser, "app", "vestibule").unwrap();
    for name in ["vestibule", "vestibule-sso"] {
        let mut thief = Browser::default();
        thief.plant("app.localhost", name, &handle);
        thief.walk(&mode.sign_in("other"), "/authorize");
    }
}

#[test]
fn hosts_below_one_domain_share_a_login() {
    let mode = Mode::shared();
    let mut browser = Browser::default();

    let page = browser.open(&mode.sign_in("app.corp"));

    assert_eq!(page.url.as_str(), mode.url("app.corp", "/a"));
    assert!(
        !browser
            .visited
            .iter()
            .any(|url| url.path() == "/.pomerium/callback/")
    );
    let handle = mode.cookie(&browser, "wiki.corp", "vestibule").unwrap();
    for host in ["app.corp", "wiki.corp"] {
        assert_eq!(mode.status(host, &handle), 202, "{host}");
    }
    let known = mode.cookie(&browser, "auth.corp", "vestibule-sso").unwrap();
    assert_eq!(mode.cookie(&browser, "app.corp", "vestibule-sso"), None);
    assert_eq!(mode.status("app.corp", &known), 401);
    for host in ["app.corp", "wiki.corp", "auth.corp"] {
        let page = browser.open(&mode.url(host, "/.pomerium/"));
        assert!(page.answer.text().contains("alice@example.com"), "{host}");
    }
}

#[test]
fn a_shared_login_ends_on_every_host_wherever_one_leaves() {
    for host in ["app.corp", "wiki.corp", "auth.corp"] {
        let mode = Mode::shared();
        let mut browser = Browser::default();
        browser.open(&mode.sign_in("app.corp"));
        let handle = mode.cookie(&browser, "app.corp", "vestibule").unwrap();
        let known = mode.cookie(&browser, "auth.corp", "vestibule-sso").unwrap();
        let before = browser.clone();

        let asked = browser.clone().ask(
            "GET",
            &mode.url(host, "/.pomerium/sign_out"),
            &[("Sec-Fetch-Site", "cross-site")],
            b"",
        );
        assert_eq!(
            asked.all("set-cookie").count(),
            0,
            "{host}: nobody meant it"
        );
        assert_eq!(mode.status("app.corp", &handle), 202, "{host}");

        browser.open(&mode.url(host, "/.pomerium/sign_out"));

        for other in ["app.corp", "wiki.corp"] {
            assert_eq!(mode.status(other, &handle), 401, "{host}, then {other}");
            assert_eq!(mode.cookie(&browser, other, "vestibule"), None, "{host}");
        }
        let mut replay = before.clone();
        replay.plant("auth.corp.localhost", "vestibule-sso", &known);
        replay.walk(&mode.sign_in("wiki.corp"), "/authorize");
    }
}

#[test]
fn a_session_that_was_planted_is_dead_after_a_login_without_a_handoff_too() {
    for (mode, host, domain) in [
        (Mode::same_host(), "app", "app.localhost"),
        (Mode::shared(), "app.corp", "corp.localhost"),
    ] {
        let mut mallory = Browser::named("mallory");
        mallory.open(&mode.sign_in(host));
        let planted = mode.cookie(&mallory, host, "vestibule").unwrap();
        assert_eq!(mode.status(host, &planted), 202);
        let mut alice = Browser::default();
        let answer = alice.walk(&mode.sign_in(host), "/oauth2/callback?");
        alice.plant(domain, "vestibule", &planted);
        for cookie in &mut alice.cookies {
            cookie.host_only &= cookie.domain != "corp.localhost";
        }

        alice.open(&answer);

        let own = mode.cookie(&alice, host, "vestibule").unwrap();
        assert_ne!(own, planted, "{host}");
        assert_eq!(mode.status(host, &own), 202, "{host}");
        assert_eq!(mode.status(host, &planted), 401, "{host}");
    }
}

#[test]
fn a_handle_of_one_mode_is_nothing_in_the_other() {
    let (shared, apart) = (Mode::shared(), Mode::apart());
    let handle = |mode: &Mode| {
        let mut browser = Browser::default();
        browser.open(&mode.sign_in("app.corp"));
        mode.cookie(&browser, "app.corp", "vestibule").unwrap()
    };
    let (of_all, of_one) = (handle(&shared), handle(&apart));

    assert_eq!(shared.status("app.corp", &of_all), 202);
    assert_eq!(apart.status("app.corp", &of_one), 202);
    assert_eq!(shared.status("app.corp", &of_one), 401);
    assert_eq!(apart.status("app.corp", &of_all), 401);
    assert_eq!(apart.status("wiki.corp", &of_one), 401, "of another host");
}

#[test]
fn a_shared_login_counts_once_and_in_the_browser_that_began() {
    for (mode, host) in [(Mode::same_host(), "app"), (Mode::shared(), "app.corp")] {
        let mut alice = Browser::default();
        let answer = alice.walk(&mode.sign_in(host), "/oauth2/callback?");
        let kept = alice.clone();

        assert_eq!(Browser::default().open(&answer).answer.status, 400);
        assert_eq!(alice.open(&answer).url.path(), "/a");

        let again = kept.clone().open(&answer);
        assert_eq!(again.answer.status, 400, "{host}");
        assert_eq!(again.answer.all("set-cookie").count(), 0, "{host}");
    }
}
