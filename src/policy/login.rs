//! What a route asks of a login: not who may pass, but how they must have shown who they are.
//!
//! Only data: the policy room knows no session and no time. What is read here of an operator's text is read in the same
//! way of an address that begins a login.

use std::time::Duration;

use crate::identity::Demand;

/// The longest `login_hint`, in bytes: that of an e-mail address (RFC 5321 §4.5.3.1.3).
const MAX_HINT: usize = 254;
/// The longest list of `acr_values` as it is sent, in bytes. It travels in a cookie and in two URLs.
const MAX_ACR_VALUES: usize = 256;
/// The values of `prompt` (OpenID Connect Core §3.1.2.1) but `none`, which would show an error instead of a sign-in.
pub const PROMPTS: [&str; 3] = ["login", "consent", "select_account"];

/// What a route asks of a login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginSettings {
    /// The only provider that counts, by its name.
    pub provider: Option<String>,
    /// What the provider is asked for. `max_age` and `acr_values` are rules, `prompt` and `login_hint` are wishes.
    pub demand: Demand,
    /// How long a session counts here.
    pub limits: SessionLimits,
    /// What an address that begins a login may bring along itself.
    pub parameters: Vec<LoginParameter>,
}

impl LoginSettings {
    /// Whether a session can fall short of it.
    pub const fn is_rule(&self) -> bool {
        self.provider.is_some()
            || self.demand.max_age.is_some()
            || self.limits.are_any()
            || !self.demand.acr_values.is_empty()
    }

    /// Whether an address may bring this along.
    pub fn takes(&self, parameter: LoginParameter) -> bool {
        self.parameters.contains(&parameter)
    }
}

/// How long a session counts on a route, where that is shorter than it lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionLimits {
    /// Not any more when it has ever lain unused for longer, on all hosts.
    pub idle: Option<Duration>,
    /// Not any more when its owner signed in longer ago.
    pub absolute: Option<Duration>,
}

impl SessionLimits {
    /// Whether there is one.
    pub const fn are_any(&self) -> bool {
        self.idle.is_some() || self.absolute.is_some()
    }
}

/// A parameter of an authorization request (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginParameter {
    /// `prompt`.
    Prompt,
    /// `login_hint`.
    LoginHint,
    /// `acr_values`.
    AcrValues,
    /// `max_age`.
    MaxAge,
}

impl LoginParameter {
    /// Each of them, with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("prompt", Self::Prompt),
        ("login_hint", Self::LoginHint),
        ("acr_values", Self::AcrValues),
        ("max_age", Self::MaxAge),
    ];

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(word, _)| *word == name)
            .map(|(_, parameter)| parameter)
    }
}

/// Words of [`PROMPTS`], each once; none for anything else.
pub fn prompt<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut known: Vec<&str> = Vec::new();
    for word in words {
        if !PROMPTS.contains(&word) || known.contains(&word) {
            return None;
        }
        known.push(word);
    }
    (!known.is_empty()).then(|| known.join(" "))
}

/// A text without control characters, not blank and at most 254 bytes long.
pub fn login_hint(text: &str) -> Option<String> {
    let is_plain =
        text.len() <= MAX_HINT && !text.trim().is_empty() && !text.contains(char::is_control);
    is_plain.then(|| text.to_owned())
}

/// Values of visible ASCII characters, each once, at most 256 bytes with the blanks between them.
pub fn acr_values<'a>(words: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    let mut known: Vec<String> = Vec::new();
    let mut length = 0;
    for word in words {
        let is_plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        length += word.len() + 1;
        if !is_plain || length > MAX_ACR_VALUES + 1 || known.iter().any(|other| other == word) {
            return None;
        }
        known.push(word.to_owned());
    }
    (!known.is_empty()).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_made_of_the_words_of_the_standard_but_none() {
        let read = |text: &str| prompt(text.split_ascii_whitespace());

        assert_eq!(read("login"), Some("login".to_owned()));
        assert_eq!(
            read(" consent  select_account "),
            Some("consent select_account".to_owned())
        );
        for text in ["", "none", "login none", "Login", "login login", "create"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_hint_is_a_short_text_of_one_line() {
        for text in ["ann@example.com", "Ann Lee", "änn"] {
            assert_eq!(login_hint(text), Some(text.to_owned()));
        }
        for text in ["", "  ", "a\nb", "a\0", &"a".repeat(MAX_HINT + 1)] {
            assert_eq!(login_hint(text), None, "{text:?}");
        }
        assert!(login_hint(&"a".repeat(MAX_HINT)).is_some());
    }

    #[test]
    fn ways_of_signing_in_are_few_short_words() {
        let read = |text: &str| acr_values(text.split(' '));

        assert_eq!(
            read("urn:a phr"),
            Some(vec!["urn:a".to_owned(), "phr".to_owned()])
        );
        assert!(read(&"a".repeat(MAX_ACR_VALUES)).is_some());
        for text in [
            "",
            "a  b",
            "a a",
            "é",
            "a\tb",
            &"a".repeat(MAX_ACR_VALUES + 1),
            &format!("b {}", "a".repeat(MAX_ACR_VALUES - 1)),
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_what_a_session_can_fall_short_of_is_a_rule() {
        let with = |demand| LoginSettings {
            demand,
            ..LoginSettings::default()
        };
        let usual = Demand::default;

        assert!(!with(usual()).is_rule());
        assert!(
            !with(Demand {
                prompt: Some("login".to_owned()),
                login_hint: Some("ann".to_owned()),
                ..usual()
            })
            .is_rule()
        );
        assert!(
            with(Demand {
                max_age: Some(60),
                ..usual()
            })
            .is_rule()
        );
        assert!(
            with(Demand {
                acr_values: vec!["phr".to_owned()],
                ..usual()
            })
            .is_rule()
        );
        for limits in [
            SessionLimits {
                idle: Some(Duration::from_mins(5)),
                ..SessionLimits::default()
            },
            SessionLimits {
                absolute: Some(Duration::from_mins(5)),
                ..SessionLimits::default()
            },
        ] {
            assert!(
                LoginSettings {
                    limits,
                    ..LoginSettings::default()
                }
                .is_rule()
            );
        }
        assert!(
            LoginSettings {
                provider: Some("corp".to_owned()),
                ..LoginSettings::default()
            }
            .is_rule()
        );
    }
}
