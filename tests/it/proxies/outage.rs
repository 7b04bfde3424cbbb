//! When something is missing, the answer is no.

use std::thread;

use super::{
    BOB, HostProxy, House, behind_each_proxy, is_from_application, nothing_in, send, swap,
};

behind_each_proxy! {
    without_vestibule_nobody_reaches_the_application
    no_refusal_shows_a_byte_of_the_application
}

fn without_vestibule_nobody_reaches_the_application(proxy: HostProxy) {
    let mut house = House::behind(proxy);
    let (_, cookie) = house.signed_in(BOB);
    let host = house.host("app");
    house.vestibule.process.kill();

    // At once, since HAProxy before 2.8 takes its time.
    let answers: Vec<_> = thread::scope(|scope| {
        let asked = [
            ("GET", "/private"),
            ("GET", "/public"),
            ("POST", "/public"),
            ("HEAD", "/private"),
            ("OPTIONS", "/public"),
            ("GET", "/.pomerium/"),
        ]
        .map(|(method, target)| {
            let (port, host, session) = (house.port(), &host, [("Cookie", cookie.as_str())]);
            scope.spawn(move || send(port, method, target.as_bytes(), host, &session).unwrap())
        });
        asked
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    });

    for answer in answers {
        assert!(matches!(answer.status, 500..=504 | 403), "{answer:?}");
        assert!(!is_from_application(&answer), "{answer:?}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert_eq!(house.application.recorded().len(), 0);
}

fn no_refusal_shows_a_byte_of_the_application(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, cookie) = house.signed_in(BOB);
    let session = ("Cookie", cookie.as_str());
    let host = house.host("app");
    let mut failures = Vec::new();

    for (method, target, headers) in [
        ("GET", "/private", vec![]),
        ("GET", "/private", vec![("Accept", "text/html")]),
        ("HEAD", "/private", vec![]),
        ("POST", "/private", vec![]),
        ("DELETE", "/private", vec![]),
        ("OPTIONS", "/private", vec![]),
        ("PROPFIND", "/private", vec![]),
        ("GET", "/private", vec![("Range", "bytes=0-10")]),
        ("GET", "/private", vec![("If-None-Match", "*")]),
        (
            "GET",
            "/private",
            vec![("If-Modified-Since", "Sat, 21 Nov 2099 00:00:00 GMT")],
        ),
        ("GET", "/private", vec![("Expect", "100-continue")]),
        ("GET", "/private", vec![("Cookie", "vestibule=forged")]),
        ("GET", "/private", vec![("Cookie", "vestibule=")]),
        ("GET", "/private", vec![session, session]),
        ("GET", "/private", vec![("Authorization", "Bearer x")]),
        (
            "GET",
            "/private",
            vec![("Authorization", "Bearer Pomerium-x")],
        ),
        ("GET", "/private", vec![("Authorization", "Pomerium x")]),
        ("GET", "/private", vec![("Authorization", "Basic YTpi")]),
        ("GET", "/private", vec![("X-Pomerium-Authorization", "x")]),
        ("GET", "/private", vec![("User-Agent", "GoogleHC/1.0")]),
        ("GET", "/admin", vec![session]),
        ("GET", "/admin", vec![session, ("Accept", "text/html")]),
        ("HEAD", "/admin", vec![session]),
        ("POST", "/admin", vec![session, ("Accept", "text/html")]),
        ("GET", "/admin", vec![session, ("Range", "bytes=0-10")]),
        ("GET", "/public/../admin", vec![session]),
        ("GET", "/public", vec![("Remote-User", "evil")]),
    ] {
        let Some(answer) = house.send(method, target.as_bytes(), &host, &headers) else {
            continue;
        };
        let seen = house.application.recorded().len();
        if !matches!(answer.status, 302 | 400 | 401 | 403 | 405 | 417)
            || seen != 0
            || is_from_application(&answer)
        {
            house.application.forget();
            failures.push(format!(
                "{method} {target} {headers:?}: {answer:?}, {seen} seen"
            ));
        }
    }

    nothing_in(&failures);
}

#[test]
fn an_error_page_of_the_site_does_not_open_nginx() {
    let mut house = House::changed(HostProxy::Nginx, &|site| {
        let ours = "    include vestibule-server.conf;\n";
        let pages = "    error_page 502 504 =200 /50x.html;\n    location = /50x.html { return 200 sorry; }\n";
        swap(&site, ours, &format!("{ours}{pages}"))
    });
    let (_, cookie) = house.signed_in(BOB);
    let host = house.host("app");
    house.vestibule.process.kill();

    let answers = ["/private", "/public", "/admin", "/"].map(|target| {
        house
            .send("GET", target.as_bytes(), &host, &[("Cookie", &cookie)])
            .unwrap()
    });

    for answer in answers {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert!(!is_from_application(&answer));
    }
    assert_eq!(house.application.recorded().len(), 0);
}

#[test]
fn an_error_page_for_the_application_still_works_behind_nginx() {
    let house = House::changed(HostProxy::Nginx, &|site| {
        let ours = "    include vestibule-server.conf;\n";
        let page = "    error_page 502 504 =200 /50x.html;\n    location = /50x.html { return 200 sorry; }\n\
                    \x20   location /gone/ { proxy_pass http://127.0.0.1:9; }\n";
        swap(&site, ours, &format!("{ours}{page}"))
    });
    let (_, cookie) = house.signed_in(BOB);

    let known = house
        .send(
            "GET",
            b"/gone/x",
            &house.host("app"),
            &[("Cookie", &cookie)],
        )
        .unwrap();
    let unknown = house
        .send("GET", b"/gone/x", &house.host("app"), &[])
        .unwrap();

    assert_eq!((known.status, known.text().as_str()), (200, "sorry"));
    assert_eq!(unknown.status, 401);
}

#[test]
fn a_location_of_its_own_stays_protected_by_nginx() {
    let house = House::changed(HostProxy::Nginx, &|site| {
        let whole = "    location / {\n        proxy_pass http://application;\n    }\n";
        let further = "    location / {
        proxy_pass http://application;
        location /nested/ {
            proxy_pass http://application;
            location /nested/deeper/ { proxy_pass http://application; proxy_set_header X-Own own; }
        }
    }
    location ^~ /own/ { proxy_pass http://application; proxy_set_header X-Own own; }
    location = /exact { proxy_pass http://application; }
    location ~ \\.php$ { proxy_pass http://application; }
    location ~* ^/images/.*\\.(png|jpg)$ { proxy_pass http://application; expires 1d; }
    location /files/ { alias FOLDER/; }
";
        let folder = std::env::temp_dir();
        let further = further.replace("FOLDER", folder.to_str().unwrap());
        site.replacen(whole, &further, 1)
    });
    let (_, cookie) = house.signed_in(BOB);
    let host = house.host("app");
    let targets = [
        "/nested/x",
        "/nested/deeper/x",
        "/own/x",
        "/exact",
        "/x.php",
        "/images/a.png",
        "/files/x",
    ];

    for target in targets {
        let stranger = house.send("GET", target.as_bytes(), &host, &[]).unwrap();

        assert_eq!(stranger.status, 401, "{target}: {stranger:?}");
        assert!(!is_from_application(&stranger));
    }
    assert_eq!(house.application.recorded().len(), 0);
    for target in &targets[..6] {
        let known = house
            .send("GET", target.as_bytes(), &host, &[("Cookie", &cookie)])
            .unwrap();

        assert_eq!(known.status, 200, "{target}: {known:?}");
    }
}
