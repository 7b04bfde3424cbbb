//! Where a login comes from: address and browser, as a list of sessions shows them. Nothing is decided by it.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderValue},
    web::Data,
};

use crate::{proxy::TrustedProxies, session::Client};

/// Programs by the word that their `User-Agent` has. Most of them have their neighbours' words too: the first one counts.
const BROWSERS: [(&str, &str); 11] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
    ("AppleWebKit/", "A browser"),
];
/// Systems, likewise.
const SYSTEMS: [(&str, &str); 8] = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
    ("X11", "Unix"),
];
/// The longest name of another program, in letters.
const NAME: usize = 40;
/// How much of the header is read, in bytes.
const READ: usize = 512;

/// Whoever sends this request.
pub(super) fn of(http: &HttpRequest) -> Client {
    let trusted = http.app_data::<Data<TrustedProxies>>();
    let peer = http.peer_addr().map(|peer| peer.ip());
    let lines = http.headers().get_all("x-forwarded-for");
    let address = trusted
        .zip(peer)
        .and_then(|(trusted, peer)| trusted.visitor(peer, lines.map(HeaderValue::as_bytes)));
    let agent = http.headers().get(header::USER_AGENT);
    let browser = agent.and_then(|agent| browser(agent.as_bytes()));
    Client { address, browser }
}

/// `Firefox on Linux`, or what a program calls itself. Only words of ours, or letters that cannot pass for others.
fn browser(agent: &[u8]) -> Option<String> {
    let agent = String::from_utf8_lossy(agent.get(..READ).unwrap_or(agent));
    let find = |names: &[(&str, &'static str)]| {
        let found = names.iter().find(|(word, _)| agent.contains(word));
        found.map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (Some(browser), None) => Some(browser.to_owned()),
        (None, _) => {
            let is_plain = |letter: &char| {
                letter.is_ascii_alphanumeric() || matches!(letter, '.' | '/' | '-' | '_')
            };
            let name: String = agent.chars().take_while(is_plain).take(NAME).collect();
            (!name.is_empty()).then_some(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_browser_is_called_by_its_name_and_its_system() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "Chrome on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.14.1", "curl/8.14.1"),
            ("python-requests/2.32 <script>", "python-requests/2.32"),
        ] {
            assert_eq!(browser(agent.as_bytes()).as_deref(), Some(name), "{agent}");
        }
        let long = [&b"x".repeat(10_000)[..], b"Firefox/1"].concat();
        assert_eq!(browser(&long), Some("x".repeat(NAME)));
        for nothing in [
            &b""[..],
            b"\xff\xfe",
            "\u{202e}evil".as_bytes(),
            b" x",
            b"<b>",
        ] {
            assert_eq!(browser(nothing), None);
        }
    }

    #[test]
    fn an_address_is_believed_of_a_proxy_of_ours_alone() {
        let address = |peer: &str, forwarded_for: Option<&str>| {
            let proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
            let peer: SocketAddr = format!("{peer}:1").parse().unwrap();
            let mut request = TestRequest::get()
                .peer_addr(peer)
                .app_data(Data::new(proxies));
            if let Some(line) = forwarded_for {
                request = request.insert_header(("x-forwarded-for", line));
            }
            let client = of(&request.to_http_request());
            client.address.map(|address| address.to_string())
        };
        let known = |text: &str| Some(text.to_owned());

        assert_eq!(
            address("127.0.0.1", Some("203.0.113.7")),
            known("203.0.113.7")
        );
        assert_eq!(
            address("127.0.0.1", Some("6.6.6.6, 203.0.113.7")),
            known("203.0.113.7")
        );
        assert_eq!(address("127.0.0.1", None), None);
        assert_eq!(
            address("203.0.113.9", Some("6.6.6.6")),
            known("203.0.113.9")
        );
    }
}
