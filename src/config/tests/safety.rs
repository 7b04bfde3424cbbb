//! What is understood and refused all the same.

use super::*;

#[test]
fn decisions_for_other_machines_need_to_know_which() {
    assert_problem(
        "verify_address: 0.0.0.0:4181",
        "v.yaml:1:17: verify_address: decisions are offered beyond this machine",
    );

    let text = format!("verify_address: 10.0.0.1:4181\ntrusted_proxies: [10.0.0.2]\n{LEAST}");
    assert!(yaml(&text).is_ok());
}

#[test]
fn not_everybody_is_a_trusted_proxy() {
    for networks in [
        "[0.0.0.0/0]",
        "['::/0']",
        "[0.0.0.0/1, 128.0.0.0/1]",
        "[127.0.0.1, 0.0.0.0/0]",
    ] {
        assert_problem(
            &format!("trusted_proxies: {networks}"),
            "v.yaml:1:18: trusted_proxies: names everybody",
        );
    }
}

#[test]
fn each_listener_has_an_address_of_its_own() {
    for (lines, start) in [
        (
            "address: 127.0.0.1:1\nmetrics_address: 127.0.0.1:1",
            "v.yaml:2:18: metrics_address: two listeners share",
        ),
        (
            "address: 127.0.0.1:4181",
            "v.yaml:1:10: address: two listeners share",
        ),
        (
            "address: 0.0.0.0:4182",
            "v.yaml:1:10: address: two listeners share",
        ),
    ] {
        assert_problem(lines, start);
    }

    let text = format!(
        "address: 127.0.0.1:0\nverify_address: 127.0.0.1:0\nmetrics_address: 127.0.0.2:4180\n{LEAST}"
    );
    assert!(yaml(&text).is_ok());
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    let problems = problems(&LEAST.replace("https://a", "http://a"));
    for start in [
        "v.yaml:1:27: authenticate_service_url: is plain http",
        "v.yaml:3:18: routes[0].from: is plain http",
    ] {
        assert!(problems.contains(start), "{problems}");
    }

    let local = LEAST
        .replace("https://auth.example.com", "http://auth.localhost:8080")
        .replace("https://app.example.com", "http://*.localhost:8080")
        .replace("https://idp.example.com", "http://127.0.0.1:9000");
    assert!(yaml(&local).is_ok());
}

#[test]
fn a_shared_cookie_covers_every_host_or_none() {
    let with = |from: &str| {
        let text = LEAST.replace("https://app.example.com", from);
        yaml(&format!("cookie_domain: Example.com\n{text}"))
    };

    for from in [
        "https://app.example.com",
        "https://example.com",
        "https://*.example.com",
        "https://a.b.example.com:8443",
    ] {
        assert!(with(&format!("'{from}'")).is_ok(), "{from}");
    }
    for from in [
        "https://app.example.org",
        "https://notexample.com",
        "https://*example.com",
        "https://app.*.com",
        "https://example.com.evil.test",
    ] {
        let problems = with(&format!("'{from}'")).unwrap_err().to_string();
        assert!(
            problems.contains("is not below cookie_domain example.com"),
            "{problems}"
        );
    }
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    for key in [
        "shared_secret_file",
        "signing_key_file",
        "idp_client_secret_file",
    ] {
        for mode in [0o644, 0o640, 0o604, 0o620] {
            let folder = Folder::with_secrets();
            let path = folder.write("open", SHARED_SECRET);
            permit(&path, mode);

            assert_problem(
                &format!("{key}: {}", path.display()),
                &format!(
                    "v.yaml:1:{}: {key}: names a file that others than its owner may use; run `chmod 600 ",
                    key.len() + 3
                ),
            );
        }
    }
}

#[test]
fn a_secret_file_must_hold_a_secret() {
    let folder = Folder::new();
    let empty = folder.write("empty", "");
    let blank = folder.write("blank", " \n\n");
    let short = folder.write("short", "dG9vIHNob3J0");
    let large = folder.write("large", vec![b'A'; 1024 * 1024 + 1]);
    let public = folder.write(
        "public",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
    );
    let binary = folder.write("binary", b"\xff\xfe");
    let none = folder.0.join("none");

    for (key, path, start) in [
        ("shared_secret_file", &empty, "names an empty file"),
        ("shared_secret_file", &blank, "names an empty file"),
        (
            "shared_secret_file",
            &short,
            "is not base64 of exactly 32 bytes",
        ),
        (
            "shared_secret_file",
            &large,
            "names a file larger than 1 MiB",
        ),
        (
            "shared_secret_file",
            &none,
            "names a file that cannot be read: No such file",
        ),
        (
            "shared_secret_file",
            &folder.0,
            "names a file that cannot be read: it is not a plain file",
        ),
        ("signing_key_file", &short, "is neither the PEM text"),
        ("signing_key_file", &public, "is neither the PEM text"),
        ("idp_client_secret_file", &binary, "is not UTF-8"),
    ] {
        assert_problem(
            &format!("{key}: {}", path.display()),
            &format!("v.yaml:1:{}: {key}: {start}", key.len() + 3),
        );
    }
}

#[test]
fn a_secret_is_taken_without_the_end_of_its_line() {
    let folder = Folder::new();
    for ending in ["", "\n", "\r\n", "\n\n"] {
        let path = folder.write("client", format!(" s p a c e {ending}"));
        let text = format!("idp_client_secret_file: {}\n{LEAST}", path.display());

        let secret = yaml(&text).unwrap().settings.providers[0]
            .client_secret
            .clone();

        assert_eq!(secret.unwrap().expose(), b" s p a c e ");
    }
}

#[test]
fn a_signing_key_can_be_base64_of_its_text() {
    use base64::{Engine, engine::general_purpose::STANDARD};

    let encoded = STANDARD.encode(PEM);
    let (head, tail) = encoded.split_at(60);
    let text = format!("signing_key: |\n  {head}\n  {tail}\n{LEAST}");

    let keys = yaml(&text).unwrap().settings.keys;

    assert_eq!(keys.signing_keys.unwrap().expose_text(), Some(PEM));
}
