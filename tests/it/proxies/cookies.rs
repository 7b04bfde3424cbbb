//! Sessions in cookies behind nginx: what passes its default buffers, and which ones larger sessions need.

use std::fs;

use super::{ALICE, APPLICATION_HOSTS, HostProxy, ROUTES, Site, swap};
use crate::{
    cookie_mode::{provider_with_groups, session_cookies},
    support::{
        browser::Browser,
        free_port,
        misbehaving::Misbehaving,
        process::Process,
        raw,
        vestibule::{Configuration, Vestibule},
        wait_for,
    },
};

/// What the site says in place of the application, once access was granted.
const PASSED: &str = "passed";

/// nginx in front of a Vestibule in cookie mode, with somebody in so many groups.
struct Front {
    configuration: Configuration,
    _provider: Misbehaving,
    _vestibule: Vestibule,
    _proxy: Process,
    _folder: tempfile::TempDir,
}

impl Front {
    fn with(groups: usize, buffers: &str) -> Self {
        let provider = provider_with_groups(groups);
        let rest = format!("session: {{ store: cookie, max_cookies: 4 }}\n{ROUTES}");
        let configuration = Configuration::new(&rest)
            .behind(free_port())
            .at(&provider.issuer);
        let vestibule = Vestibule::start(&configuration).knows_its_provider();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("passed.txt"), PASSED).unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let proxy = HostProxy::Nginx.start(&Site {
            folder: folder.path(),
            outside: configuration.outside,
            plain: free_port(),
            pages: configuration.pages,
            decisions: configuration.decisions,
            application: free_port(),
            applications: &APPLICATION_HOSTS,
            authenticate: "auth.localhost",
            change: &|site| {
                // No application is asked, since each has limits of its own.
                let here = format!("root {root}; try_files /passed.txt =404;");
                let site = swap(&site, "proxy_pass http://application;", &here);
                format!("{buffers}\n{site}")
            },
        });
        let host = format!("auth.localhost:{}", configuration.outside);
        wait_for("nginx", || {
            let answer = raw::request(configuration.outside, "GET", "/ping", &host, &[])?;
            (answer.status == 200).then_some(())
        });
        Self {
            configuration,
            _provider: provider,
            _vestibule: vestibule,
            _proxy: proxy,
            _folder: folder,
        }
    }

    /// Somebody who has signed in at the application, and how many cookies their session takes.
    fn signed_in(&self) -> (Browser, usize) {
        let mut browser = Browser::named("alice");
        let app = self.configuration.url("app");
        let from = format!("{app}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/user");
        browser.open(&from);
        let pieces = session_cookies(&browser, &app).len();
        (browser, pieces)
    }

    fn open(&self, browser: &mut Browser, target: &str) -> (u16, String) {
        let url = format!("{}{target}", self.configuration.url("app"));
        let answer = browser.ask("GET", &url, &[], b"");
        (answer.status, answer.text())
    }
}

#[test]
fn two_cookies_pass_nginx_as_it_is() {
    let front = Front::with(150, "");

    let (mut browser, pieces) = front.signed_in();

    assert_eq!(pieces, 2);
    assert_eq!(
        front.open(&mut browser, "/private"),
        (200, PASSED.to_owned())
    );
    let (status, text) = front.open(&mut browser, "/.pomerium/user");
    assert_eq!(status, 200);
    assert!(text.contains(ALICE), "{text}");
    let mut stranger = Browser::default();
    assert_eq!(front.open(&mut stranger, "/private").0, 401);
}

#[test]
fn more_than_two_need_larger_buffers_for_heads_of_requests() {
    for (groups, count) in [(340, 3), (440, 4)] {
        let narrow = Front::with(groups, "");
        let (mut browser, pieces) = narrow.signed_in();
        assert_eq!(pieces, count);
        // nginx itself refuses a line of more than 8 KiB.
        assert_eq!(narrow.open(&mut browser, "/.pomerium/user").0, 400);
        drop(narrow);

        let wide = Front::with(groups, "large_client_header_buffers 4 32k;");
        let (mut browser, pieces) = wide.signed_in();
        assert_eq!(pieces, count);
        let (status, text) = wide.open(&mut browser, "/.pomerium/user");
        assert_eq!(status, 200, "{groups}");
        assert!(text.contains(ALICE));
    }
}
