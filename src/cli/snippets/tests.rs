//! Every rule applies to the files as they are, and what comes out names the site and nothing else.

use super::*;

fn site(front: Front) -> Site {
    let origin = |name: &str| match front {
        Front::Tls => Origin::parse(&format!("https://{name}.corp.test")).unwrap(),
        Front::Loopback { port, .. } => {
            Origin::parse(&format!("http://{name}.localhost:{port}")).unwrap()
        }
    };
    let application = |name: &str, upstream: &str| Application {
        origin: origin(name),
        upstream: Upstream::parse(upstream).unwrap(),
    };
    Site {
        applications: vec![
            application("wiki", "10.0.0.7:3001"),
            application("shop", "http://shop.internal:80/"),
        ],
        authenticate: origin("auth"),
        pages: "127.0.0.1:6180".parse().unwrap(),
        decisions: "127.0.0.1:4180".parse().unwrap(),
        front,
        folder: None,
    }
}

fn loopback() -> Front {
    Front::Loopback {
        addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        port: 8080,
    }
}

/// All files of a proxy, one after another, without their remarks.
fn told(proxy: ProxyKind, site: &Site) -> String {
    let snippets = fill(proxy, site).unwrap();
    let names: Vec<&str> = snippets.iter().map(|snippet| snippet.name).collect();
    assert_eq!(names, proxy.files().collect::<Vec<_>>());
    let lines = snippets.iter().flat_map(|snippet| snippet.text.lines());
    lines
        .filter(|line| !line.trim_start().starts_with(['#', '-']) || line.contains("url:"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[track_caller]
fn holds(proxy: ProxyKind, text: &str) {
    for name in ["wiki", "shop", "auth"] {
        assert!(
            text.contains(&format!("{name}.")),
            "{proxy:?} {name}\n{text}"
        );
    }
    for address in [
        "10.0.0.7:3001",
        "shop.internal:80",
        "127.0.0.1:6180",
        "127.0.0.1:4180",
    ] {
        assert!(text.contains(address), "{proxy:?} {address}\n{text}");
    }
    for left in [
        "example.com;",
        "app.example",
        "auth.example",
        "127.0.0.1:4181",
        "127.0.0.1:3000",
    ] {
        assert!(!text.contains(left), "{proxy:?} {left}\n{text}");
    }
}

#[track_caller]
fn both_ways(proxy: ProxyKind) -> (String, String) {
    let (secure, plain) = (
        told(proxy, &site(Front::Tls)),
        told(proxy, &site(loopback())),
    );
    holds(proxy, &secure);
    holds(proxy, &plain);
    (secure, plain)
}

#[test]
fn the_rules_for_nginx_apply_to_its_files() {
    let (secure, plain) = both_ways(ProxyKind::Nginx);

    assert_eq!(
        secure.matches("    include vestibule-server.conf;").count(),
        2
    );
    assert_eq!(secure.matches("listen 443 ssl;").count(), 3);
    assert!(secure.contains("server_name wiki.corp.test shop.corp.test auth.corp.test;"));
    assert!(secure.contains("proxy_pass http://application2;"));
    assert!(!plain.contains("ssl") && !plain.contains("308"), "{plain}");
    assert_eq!(plain.matches("    listen 127.0.0.1:8080;").count(), 3);
    assert_eq!(
        plain
            .matches("    listen [::1]:8080 default_server;")
            .count(),
        1
    );
}

#[test]
fn the_rules_for_traefik_apply_to_its_files() {
    let (secure, plain) = both_ways(ProxyKind::Traefik);

    assert_eq!(secure.matches("middlewares: [vestibule]").count(), 2);
    assert!(secure.contains("tls: {}") && secure.contains("keyFile"));
    assert!(plain.contains("address: \"[::1]:8080\""), "{plain}");
    assert_eq!(plain.matches("entryPoints: [local, local6]").count(), 4);
    assert_eq!(plain.matches("aliasHeadersStrategy: delete").count(), 2);
    assert!(!plain.contains("websecure"), "{plain}");
}

#[test]
fn the_rules_for_caddy_apply_to_its_file() {
    let (secure, plain) = both_ways(ProxyKind::Caddy);

    assert!(secure.contains("\nwiki.corp.test {\n\timport vestibule\n"));
    assert!(secure.contains("\nauth.corp.test {\n\tinvoke vestibule-pages\n"));
    assert!(
        plain.contains("\nhttp://shop.localhost:8080 {\n\tbind 127.0.0.1 ::1\n\timport"),
        "{plain}"
    );
}

#[test]
fn the_rules_for_haproxy_apply_to_its_files() {
    let (secure, plain) = both_ways(ProxyKind::Haproxy);

    assert!(
        secure.contains("403 unless app or app2 or authenticate"),
        "{secure}"
    );
    assert!(secure.contains("use_backend app2      if app2"));
    assert!(secure.contains("backend app2\n    server app2 shop.internal:80\n"));
    assert!(plain.contains("bind ipv6@::1:8080\n"), "{plain}");
    assert!(!plain.contains("frontend plain"));
}

const ALL: [ProxyKind; 4] = [
    ProxyKind::Nginx,
    ProxyKind::Traefik,
    ProxyKind::Caddy,
    ProxyKind::Haproxy,
];

/// What comes out for these names, and for names that no example has.
fn filled_twice(proxy: ProxyKind, names: [&str; 3], front: &Front) -> [Vec<Snippet>; 2] {
    let scheme = match front {
        Front::Tls => "https",
        Front::Loopback { .. } => "http",
    };
    [names, ["one.test", "two.test", "three.test"]].map(|[first, second, authenticate]| {
        let origin = |name: &str| Origin::parse(&format!("{scheme}://{name}")).unwrap();
        let application = |name: &str, upstream: &str| Application {
            origin: origin(name),
            upstream: Upstream::parse(upstream).unwrap(),
        };
        let site = Site {
            applications: vec![
                application(first, "127.0.0.1:4181"),
                application(second, "127.0.0.1:4180"),
            ],
            authenticate: origin(authenticate),
            pages: "127.0.0.1:4181".parse().unwrap(),
            decisions: "127.0.0.1:3000".parse().unwrap(),
            front: front.clone(),
            folder: None,
        };
        fill(proxy, &site).unwrap()
    })
}

#[test]
fn a_site_may_be_called_as_an_example_is() {
    for names in [
        ["auth.example.com", "app.example.com", "login.example.com"],
        ["app.example.com", "auth.example.com", "login.example.com"],
        ["one.example.com", "auth.example.com", "app.example.com"],
        ["auth.example.com", "two.example.com", "app.example.com"],
    ] {
        for proxy in ALL {
            for front in [Front::Tls, loopback()] {
                let [called, plain] = filled_twice(proxy, names, &front);
                for (called, plain) in called.iter().zip(plain) {
                    let expected = plain
                        .text
                        .replace("one.test", names[0])
                        .replace("two.test", names[1])
                        .replace("three.test", names[2]);
                    assert_eq!(called.text, expected, "{proxy:?} {names:?}");
                }
            }
        }
    }
}

#[test]
fn files_that_name_each_other_can_lie_elsewhere() {
    let mut site = site(loopback());
    site.folder = Some("/tmp/a b".to_owned());

    assert!(told(ProxyKind::Traefik, &site).contains("filename: \"/tmp/a b/dynamic.yaml\""));
    assert!(
        told(ProxyKind::Haproxy, &site).contains("lua-load-per-thread \"/tmp/a b/vestibule.lua\"")
    );
}

#[test]
fn an_example_that_has_changed_is_an_error() {
    let draft = || Draft::of("a\nb\nc\n\nd\n");

    assert!(draft().swap("x", "y").is_err());
    assert!(draft().without("b", "x").is_err());
    assert!(draft().without_block("b", "d").is_err());
    assert_eq!(draft().without("b", "c").unwrap().told(), "a\n\nd\n");
    assert_eq!(draft().without_block("b", "c").unwrap().told(), "a\nd\n");
    let error = draft().swap("x", "y").err().unwrap();
    assert_eq!(
        error.to_string(),
        "\"x\" is not in the example of this proxy"
    );
}

#[test]
fn an_upstream_is_a_host_and_a_port() {
    for (text, read) in [
        ("127.0.0.1:3000", Some("127.0.0.1:3000")),
        ("http://App.internal:80", Some("app.internal:80")),
        ("[::1]:3000", Some("[::1]:3000")),
        ("127.0.0.1", None),
        ("127.0.0.1:0", None),
        ("a b:1", None),
        ("a;b:1", None),
        ("https://a:1", None),
        ("a:1:2", None),
        ("a:1/x", None),
    ] {
        assert_eq!(
            Upstream::parse(text).map(|upstream| upstream.0).as_deref(),
            read,
            "{text}"
        );
    }
}
