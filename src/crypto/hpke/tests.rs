//! The vectors of the format, and everything that does not open.

use std::convert::Infallible;

use base64::prelude::BASE64_STANDARD;
use hpke::{
    rand_core::{TryCryptoRng, TryRng},
    single_shot_seal_with_rng,
};

use super::*;
use crate::crypto::{hex, keyring::handoff_key};

const V1: &str = "WTmrlNTdbTlpl5ogkLEW9ye6G4iLsLrnNChzR8EgMBvEqo_Z-wxcEdRx_ktniEknVrzbapH-Lppms2bLfz6ZCn5YDT6s0Jb6kfniS5G3ZKpoW7AxEknVV5l2ww1ACMTvQ65hguneV9TnjyxeV6r2z3DpBNdAgVwFTIY";
const V2: &str = "m4lWPyhKU0ljhJ7b33yVhqwURK03OBK32_M3JQH-wgDMO1OpYFocanQhxvLntg5KiQ1neOHMKRJwK02SVBObTIT3LvA7_eafeznHBN13YMMbEUYAy47Hq9P1mOJuXKQsJHMz7WpGj2-nIdQdoMlH73N4d0gAjVzkb1_hnczoN0HxFmpVsHw";
const SENDER: &str = "ET-CA2Ghhj1Z7c_x7nlg1DoVmKGtEc0C-uXXwKCO_SU";

fn sender() -> HandoffKey {
    handoff_key(b"sender").unwrap()
}

fn receiver() -> HandoffKey {
    handoff_key(b"receiver").unwrap()
}

fn vector(sealed: &str, version: HandoffVersion) -> SealedQuery {
    SealedQuery {
        sender: PublicKey::parse(SENDER).unwrap(),
        sealed: sealed.to_owned(),
        version,
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn decoded(sealed: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(sealed).unwrap()
}

#[test]
fn keys_are_derived_as_pomerium_derives_them() {
    let example = BASE64_STANDARD
        .decode("80ldlrU2d7w+wVpKNfevk6fmb8otEx6CqOfshj2LwhQ=")
        .unwrap();
    for (secret, private, public) in [
        (
            b"TEST".as_slice(),
            "e299765fab49f024f5e35dd10006f9342fe13e1418b868932ea40b28661ed55a",
            "6a2289b916b45a52c57f8ca40f854613e7f6cf40dde981809dbfb7fdd9f1da77",
        ),
        (
            b"sender",
            "5bb8957d9c2b53a590984cc884fdce5e84230028490b29069dec73b5994a9844",
            "113f820361a1863d59edcff1ee7960d43a1598a1ad11cd02fae5d7c0a08efd25",
        ),
        (
            b"receiver",
            "2c6a56e61338fbc15c146ff01531b87ff4979977a34f79091fe8af24f5828b5f",
            "3cf9d1896ccffce692fd982adfda4c004de64bc30d3821c8a02f35d6324c6e34",
        ),
        (
            b"KEY 1",
            "6358dc3eb6f565152713db12c4337815790432b689e6efd0ea19b266e6a15567",
            "6499384bcf1e4ca442ffa0a19c11ad3ad2de89c4f096991a21dce9df5968bd1c",
        ),
        (
            &example,
            "520edb44e1c148dc3a0ac95d7fe88e8f26e763f3a0444fcb771f8e0a359e5898",
            "b10ce853ea31fadd60253c6fc6a600fde1e9eaae631cfccc050b3f23be599a6b",
        ),
    ] {
        let key = handoff_key(secret).unwrap();

        // The vectors have the scalar as it was derived; the library keeps it clamped (RFC 9180 §7.1.2).
        let clamped = <Kem as hpke::Kem>::PrivateKey::from_bytes(&unhex(private)).unwrap();
        assert_eq!(key.private.to_bytes(), clamped.to_bytes());
        assert_eq!(hex(&key.public().to_bytes()), public);
    }
}

#[test]
fn public_keys_are_written_in_base64url_without_padding() {
    for (secret, public) in [
        (
            b"TEST".as_slice(),
            "aiKJuRa0WlLFf4ykD4VGE-f2z0Dd6YGAnb-3_dnx2nc",
        ),
        (b"sender", SENDER),
        (b"receiver", "PPnRiWzP_OaS_Zgq39pMAE3mS8MNOCHIoC811jJMbjQ"),
    ] {
        let key = handoff_key(secret).unwrap();

        assert_eq!(key.public().to_string(), public);
        assert_eq!(PublicKey::parse(public).unwrap(), *key.public());
        assert!(PublicKey::parse(&format!("{public}=")).is_err());
    }
}

#[test]
fn queries_that_another_implementation_sealed_are_opened() {
    for (sealed, version) in [(V1, HandoffVersion::V1), (V2, HandoffVersion::V2)] {
        let query = receiver().open(&vector(sealed, version)).unwrap();

        let expected = [
            ("a", "b"),
            ("a", "c"),
            ("u", "https://redirect.example.com/p?q=1&r=a b"),
            ("x", "y"),
            ("x", "z"),
        ];
        assert_eq!(
            query,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}

/// Says seven, always.
struct Sevens;

impl TryRng for Sevens {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0x0707_0707)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0x0707_0707_0707_0707)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(7);
        Ok(())
    }
}

impl TryCryptoRng for Sevens {}

#[test]
fn the_same_ephemeral_key_seals_the_same_bytes_as_elsewhere() {
    let (from, to) = (sender(), receiver());

    let (encapsulated, body) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Auth((from.private.clone(), from.public.0.clone())),
        &to.public.0,
        b"",
        b"a=b&a=c&x=y&x=z",
        b"",
        &mut Sevens,
    )
    .unwrap();

    let sealed = [encapsulated.to_bytes().as_slice(), &body].concat();
    assert_eq!(
        BASE64_URL_SAFE_NO_PAD.encode(sealed),
        "X9R2M7XkP8p7rRv75CT-rLF12dTUow8Wbb0wY28LRGtpldkPlOdLdpRrdv0ZmUMqfwmsN8ybiN1JSbuV9_Fe"
    );
}

#[test]
fn only_the_recipient_opens_and_only_under_the_sender() {
    let (sender, receiver) = (sender(), receiver());
    let other = handoff_key(b"other").unwrap();
    for version in [HandoffVersion::V1, HandoffVersion::V2] {
        let sealed = sender
            .seal(receiver.public(), &[("b", "2 &="), ("a", "1")], version)
            .unwrap();

        assert_eq!(
            receiver.open(&sealed).unwrap(),
            [("a".into(), "1".into()), ("b".into(), "2 &=".into())]
        );
        assert!(other.open(&sealed).is_err());
        assert!(sender.open(&sealed).is_err());
        let renamed = SealedQuery {
            sender: other.public().clone(),
            ..sealed.clone()
        };
        assert!(receiver.open(&renamed).is_err());
        let again = SealedQuery::from_query(&sealed.to_query()).unwrap();
        assert_eq!(again, sealed);
    }
}

#[test]
fn each_version_has_names_of_its_own_and_each_of_them_stands_once() {
    let v1 = vector(V1, HandoffVersion::V1).to_query();
    let v2 = vector(V2, HandoffVersion::V2).to_query();
    assert_eq!(v2, format!("k={SENDER}&q={V2}"));
    assert_eq!(
        v1,
        format!("pomerium_hpke_sender_pub={SENDER}&pomerium_hpke_query={V1}")
    );

    for query in [
        &format!("{v1}&{v2}"),
        &format!("{v2}&{v1}"),
        &format!("{v2}&k={SENDER}"),
        &format!("{v2}&q={V2}"),
        &format!("{v2}&%6b=x"),
        &format!("{v1}&pomerium_hpke_query={V1}"),
        &format!("{v1}&pomerium_hpke_sender_pub={SENDER}"),
        &format!("{v1}&k="),
        &format!("{v2}&pomerium_hpke_query="),
        &format!("pomerium_hpke_sender_pub={SENDER}&q={V2}"),
        &format!("k={SENDER}&pomerium_hpke_query={V1}"),
        &format!("k={SENDER}"),
        &format!("q={V2}"),
        &format!("K={SENDER}&Q={V2}"),
        &format!("k={SENDER}%3d&q={V2}"),
        "",
    ] {
        assert!(SealedQuery::from_query(query).is_err(), "{query}");
    }
    for query in [v1, v2] {
        let beside = format!("pomerium_redirect_uri=x&{query}&pomerium_redirect_uri=y");
        assert_eq!(
            SealedQuery::from_query(&beside).unwrap(),
            SealedQuery::from_query(&query).unwrap()
        );
    }
}

#[test]
fn what_is_sealed_in_one_version_does_not_open_as_the_other() {
    assert!(receiver().open(&vector(V1, HandoffVersion::V2)).is_err());
    assert!(receiver().open(&vector(V2, HandoffVersion::V1)).is_err());
}

#[test]
fn base64_has_one_spelling() {
    let (last, before) = (V2.len() - 1, &V2[..V2.len() - 1]);
    assert_eq!(&V2[last..], "w");
    for spelled in [
        format!("{V2}="),
        format!("{V2}=="),
        format!("{V2} "),
        format!(" {V2}"),
        format!("{V2}\n"),
        V2.replace('_', "/"),
        V2.replace('-', "+"),
        // The same bytes, with a bit that no byte has.
        format!("{before}x"),
        String::new(),
    ] {
        let sealed = vector(&spelled, HandoffVersion::V2);
        assert!(receiver().open(&sealed).is_err(), "{spelled}");
    }
}

#[test]
fn cut_short_it_does_not_open() {
    for (sealed, version) in [(V1, HandoffVersion::V1), (V2, HandoffVersion::V2)] {
        let bytes = decoded(sealed);
        for length in 0..bytes.len() {
            let cut = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..length]);
            assert!(receiver().open(&vector(&cut, version)).is_err(), "{length}");
        }
    }
}

#[test]
fn a_changed_byte_does_not_open() {
    for (sealed, version) in [(V1, HandoffVersion::V1), (V2, HandoffVersion::V2)] {
        let bytes = decoded(sealed);
        for at in 0..bytes.len() {
            for change in [1, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
                assert!(receiver().open(&vector(&changed, version)).is_err(), "{at}");
            }
        }
        let longer = BASE64_URL_SAFE_NO_PAD.encode([&*bytes, &[0]].concat());
        assert!(receiver().open(&vector(&longer, version)).is_err());
    }
}

#[test]
fn a_bomb_does_not_go_off() {
    let key = sender();
    for length in [MAX_QUERY + 1, 1 << 24] {
        let bomb = zstd::bulk::compress("x".repeat(length).as_bytes(), 0).unwrap();
        let sealed = key
            .seal_bytes(key.public(), &bomb, HandoffVersion::V2)
            .unwrap();

        assert!(sealed.sealed.len() < MAX_SEALED);
        assert!(matches!(key.open(&sealed), Err(CryptoError::Open)));
    }
    let most = zstd::bulk::compress("x".repeat(MAX_QUERY).as_bytes(), 0).unwrap();
    let sealed = key
        .seal_bytes(key.public(), &most, HandoffVersion::V2)
        .unwrap();
    assert!(key.open(&sealed).is_ok());
}

#[test]
fn many_small_bombs_in_a_row_do_not_go_off_either() {
    let key = sender();
    let one = zstd::bulk::compress("x".repeat(60_000).as_bytes(), 0).unwrap();
    let row = one.repeat(100);

    let sealed = key
        .seal_bytes(key.public(), &row, HandoffVersion::V2)
        .unwrap();

    assert!(sealed.sealed.len() < MAX_SEALED);
    assert!(key.open(&sealed).is_err());
}

#[test]
fn a_wide_window_is_not_granted() {
    let key = sender();
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 0).unwrap();
    encoder.window_log(MAX_WINDOW_LOG + 1).unwrap();
    std::io::Write::write_all(&mut encoder, b"a=1").unwrap();
    std::io::Write::flush(&mut encoder).unwrap();
    let wide = encoder.finish().unwrap();

    let sealed = key
        .seal_bytes(key.public(), &wide, HandoffVersion::V2)
        .unwrap();

    assert!(key.open(&sealed).is_err());
}

#[test]
fn what_is_too_long_for_the_other_side_is_not_sealed() {
    let key = sender();
    let long = "x".repeat(MAX_SEALED);

    assert!(
        key.seal(key.public(), &[("a", &long)], HandoffVersion::V1)
            .is_err()
    );
    assert!(
        key.seal(key.public(), &[("a", &long)], HandoffVersion::V2)
            .is_ok()
    );
    let longer = "x".repeat(MAX_QUERY);
    assert!(
        key.seal(key.public(), &[("a", &longer)], HandoffVersion::V2)
            .is_err()
    );
    let sealed = vector(&"A".repeat(MAX_SEALED + 1), HandoffVersion::V1);
    assert!(key.open(&sealed).is_err());
}

#[test]
fn points_of_low_order_are_no_keys() {
    let key = receiver();
    let honest = key
        .seal(key.public(), &[("a", "1")], HandoffVersion::V1)
        .unwrap();
    for point in LOW_ORDER {
        assert!(PublicKey::from_bytes(&point).is_err());
        // What the list is made of: the library finds no secret with any of them.
        let forced = PublicKey(<Kem as hpke::Kem>::PublicKey::from_bytes(&point).unwrap());
        assert!(key.seal(&forced, &[], HandoffVersion::V1).is_err());
        let from_nobody = SealedQuery {
            sender: forced,
            ..honest.clone()
        };
        assert!(key.open(&from_nobody).is_err());

        let mut sealed = decoded(&honest.sealed);
        sealed[..ENCAPSULATED].copy_from_slice(&point);
        let sealed = SealedQuery {
            sealed: BASE64_URL_SAFE_NO_PAD.encode(sealed),
            ..honest.clone()
        };
        assert!(key.open(&sealed).is_err());
    }
}

#[test]
fn a_key_has_one_form() {
    let mut highest = [0xff; 32];
    highest[31] = 0x7f;
    let with_lowest = |lowest| {
        let mut number = highest;
        number[0] = lowest;
        number
    };
    // p - 2 is the last number that is a key: p - 1 has low order, and from p on it is another form of 0, 1, 2 …
    assert!(PublicKey::from_bytes(&with_lowest(0xeb)).is_ok());
    for lowest in 0xec..=0xff {
        assert!(PublicKey::from_bytes(&with_lowest(lowest)).is_err());
    }
    let mut bytes = sender().public().to_bytes();
    assert!(PublicKey::from_bytes(&bytes).is_ok());
    bytes[31] |= 0x80;
    assert!(PublicKey::from_bytes(&bytes).is_err());
    for text in ["", "AA", &BASE64_URL_SAFE_NO_PAD.encode([9; 33])] {
        assert!(PublicKey::parse(text).is_err());
    }
}

#[test]
fn every_pair_opens_and_the_first_is_shown() {
    let own = sender().with(vec![receiver()]);
    let other = handoff_key(b"other").unwrap();
    let query = [("a", "1")];
    for version in [HandoffVersion::V1, HandoffVersion::V2] {
        for pair in [&sender(), &receiver()] {
            let sealed = other.seal(pair.public(), &query, version).unwrap();

            assert_eq!(own.open(&sealed).unwrap(), [("a".into(), "1".into())]);
            assert_eq!(own.asked(&sealed).public(), pair.public());
            assert_eq!(own.known_as(pair.public()).public(), pair.public());
        }
        let to_another = other.seal(other.public(), &query, version).unwrap();
        assert!(own.open(&to_another).is_err());
        assert_eq!(own.asked(&to_another).public(), own.public());
        let answer = own.seal(other.public(), &query, version).unwrap();
        assert_eq!(answer.sender, *sender().public());
    }
    assert!(own.is(sender().public()) && own.is(receiver().public()));
    assert!(!own.is(other.public()));
    assert_eq!(own.known_as(other.public()).public(), own.public());
}
