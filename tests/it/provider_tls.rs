//! A provider behind TLS: who it is, its certificate says, and nothing is said to anybody else.

use std::process::Command;

use crate::{
    id_token::{assert_no_session, is_in, log_in},
    login::ROUTES,
    support::{
        browser::Browser,
        misbehaving::Misbehaving,
        tls::{Authority, Front},
        vestibule::{Configuration, Vestibule},
        wait_for,
    },
};

/// The program, with a provider behind TLS; it trusts this authority and no other.
fn trusting(authority: &Authority, issuer: &str) -> (Configuration, Vestibule) {
    let configuration = Configuration::new(ROUTES).at(issuer);
    let vestibule = Vestibule::start_by(tempfile::tempdir().unwrap(), &configuration, &mut |it| {
        let mut command = Command::new(it);
        command.env("SSL_CERT_FILE", authority.file());
        command.env_remove("SSL_CERT_DIR");
        command
    });
    (configuration, vestibule)
}

#[test]
fn a_provider_is_who_its_certificate_says_or_is_not_asked() {
    let authority = Authority::new("authority");
    let (stranger, namesake) = (Authority::new("stranger"), Authority::new("authority"));
    let (from, to) = ("20200101", "20600101");
    let here = "IP:127.0.0.1,DNS:localhost";
    let local = "127.0.0.1";
    for (name, front, host, cause) in [
        (
            "over",
            authority.front(here, from, "20200201"),
            local,
            "expired",
        ),
        (
            "not yet",
            authority.front(here, "20590101", to),
            local,
            "not valid yet",
        ),
        // Where a name leads is for who answers names to say; who is there, for its certificate.
        (
            "another name",
            authority.front("DNS:idp.test", from, to),
            "localhost",
            "for name",
        ),
        (
            "another address",
            authority.front("DNS:localhost", from, to),
            local,
            "for name",
        ),
        (
            "a stranger's",
            stranger.front(here, from, to),
            local,
            "UnknownIssuer",
        ),
        (
            "a namesake's",
            namesake.front(here, from, to),
            local,
            "BadSignature",
        ),
        (
            "TLS 1.1",
            Front::Old,
            local,
            "ServerDoesNotSupportTls12Or13",
        ),
        ("no handshake", Front::Closing, local, "handshake eof"),
        ("in the clear", Front::Plain, local, "corrupt message"),
    ] {
        let provider = Misbehaving::behind(front, host);
        let (configuration, vestibule) = trusting(&authority, &provider.issuer);
        let mut browser = Browser::default();

        let page = log_in(&configuration, &mut browser);

        assert_eq!(page.answer.status, 503, "{name}");
        assert_no_session(name, &browser);
        let heard = provider.asked("");
        assert!(heard.is_empty(), "{name}: {heard:?}");
        wait_for(&format!("{cause} in the log: {name}"), || {
            vestibule.process.output().contains(cause).then_some(())
        });
    }
    let nowhere = "https://idp.invalid";
    let (configuration, vestibule) = trusting(&authority, nowhere);
    let page = log_in(&configuration, &mut Browser::default());
    assert_eq!(page.answer.status, 503, "a name that does not exist");
    drop(vestibule);

    let provider = Misbehaving::behind(authority.front(here, from, to), "127.0.0.1");
    let (configuration, vestibule) = trusting(&authority, &provider.issuer);
    let vestibule = vestibule.knows_its_provider();
    let mut browser = Browser {
        https: Some(provider.port),
        ..Browser::default()
    };
    log_in(&configuration, &mut browser);
    let email = is_in(&configuration, &vestibule, &browser);
    assert_eq!(email.as_deref(), Some("alice@example.com"));
}
