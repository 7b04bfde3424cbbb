//! What a person reads at the built-in provider: one struct for each template `static/pages/idp_….html`.

use askama::Template;

use super::words::{Field, Problem};
use crate::web::page::Shell;

/// Who are you?
#[derive(Template)]
#[template(path = "idp_sign_in.html")]
pub(super) struct SignInFormPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The authenticate host.
    pub(super) host: String,
    /// Whether somebody wants to change how they sign in.
    pub(super) is_for_desk: bool,
    /// Goes with the form.
    pub(super) ticket: String,
    /// For the script.
    pub(super) passkey_options: String,
    /// What the field begins with.
    pub(super) email: String,
    /// Whether people are asked if they stay signed in.
    pub(super) can_stay: bool,
    /// Whether that was ticked.
    pub(super) stays: bool,
    /// Why the last try did not work.
    pub(super) problem: Option<&'static str>,
}

/// Signed in, and on the way back.
#[derive(Template)]
#[template(path = "idp_continue.html")]
pub(super) struct ContinuePage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The authenticate host.
    pub(super) host: String,
    /// Where the way leads: a safe redirect.
    pub(super) to: String,
}

/// A passkey in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PasskeyFacts {
    /// The credential id in base64url.
    pub(super) id: String,
    /// What its owner calls it; may be empty.
    pub(super) label: String,
    /// When it was registered, written out.
    pub(super) made: String,
    /// When it was last used, written out.
    pub(super) used: Option<String>,
}

/// How do I sign in?
#[derive(Template)]
#[template(path = "idp_desk.html")]
pub(super) struct DeskPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The authenticate host.
    pub(super) host: String,
    /// Whose desk it is; may be empty.
    pub(super) name: String,
    /// Whose desk it is.
    pub(super) email: String,
    /// Whether there is one.
    pub(super) has_password: bool,
    /// In the order in which they were registered.
    pub(super) passkeys: Vec<PasskeyFacts>,
    /// Whether anything can be changed here.
    pub(super) can_change: bool,
    /// Goes with each form.
    pub(super) ticket: String,
    /// For the script.
    pub(super) passkey_options: String,
    /// What was done a moment ago.
    pub(super) done: Option<&'static str>,
    /// Why nothing was.
    pub(super) problem: Option<Problem>,
}

/// How will I sign in?
#[derive(Template)]
#[template(path = "idp_invitation.html")]
pub(super) struct InvitationPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The authenticate host.
    pub(super) host: String,
    /// Who is invited; may be empty.
    pub(super) name: String,
    /// Who is invited.
    pub(super) email: String,
    /// Whether nothing was chosen before.
    pub(super) is_first: bool,
    /// The secret of the link.
    pub(super) token: String,
    /// Goes with each form.
    pub(super) ticket: String,
    /// For the script.
    pub(super) passkey_options: String,
    /// Why nothing was chosen.
    pub(super) problem: Option<Problem>,
}

/// It was chosen.
#[derive(Template)]
#[template(path = "idp_invited.html")]
pub(super) struct InvitedPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The authenticate host.
    pub(super) host: String,
}

impl DeskPage {
    fn is_password_wrong(&self) -> bool {
        is_about(self.problem, Field::Password)
    }

    fn is_passkey_wrong(&self) -> bool {
        is_about(self.problem, Field::Passkey)
    }
}

impl InvitationPage {
    fn is_password_wrong(&self) -> bool {
        is_about(self.problem, Field::Password)
    }

    fn is_passkey_wrong(&self) -> bool {
        is_about(self.problem, Field::Passkey)
    }
}

fn is_about(problem: Option<Problem>, field: Field) -> bool {
    problem.is_some_and(|problem| problem.field == field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::idp::words;

    const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}&amp;";
    const SHELL: Shell = Shell::new(false);

    fn sign_in(text: &str) -> SignInFormPage {
        SignInFormPage {
            shell: SHELL,
            host: text.to_owned(),
            is_for_desk: true,
            ticket: text.to_owned(),
            passkey_options: text.to_owned(),
            email: text.to_owned(),
            can_stay: true,
            stays: false,
            problem: Some(words::REFUSED),
        }
    }

    fn desk(text: &str, passkeys: usize) -> DeskPage {
        let passkey = PasskeyFacts {
            id: text.to_owned(),
            label: text.to_owned(),
            made: text.to_owned(),
            used: Some(text.to_owned()),
        };
        DeskPage {
            shell: SHELL,
            host: text.to_owned(),
            name: text.to_owned(),
            email: text.to_owned(),
            has_password: true,
            passkeys: vec![passkey; passkeys],
            can_change: true,
            ticket: text.to_owned(),
            passkey_options: text.to_owned(),
            done: words::done("password"),
            problem: Some(words::NOT_THE_SAME),
        }
    }

    fn invitation(text: &str) -> InvitationPage {
        InvitationPage {
            shell: SHELL,
            host: text.to_owned(),
            name: text.to_owned(),
            email: text.to_owned(),
            is_first: true,
            token: text.to_owned(),
            ticket: text.to_owned(),
            passkey_options: text.to_owned(),
            problem: Some(words::NO_PASSKEY),
        }
    }

    /// The pages with forms, then those without.
    fn all(text: &str) -> ([String; 3], [String; 2]) {
        let on = ContinuePage {
            shell: SHELL,
            host: text.to_owned(),
            to: text.to_owned(),
        };
        let invited = InvitedPage {
            shell: SHELL,
            host: text.to_owned(),
        };
        (
            [
                sign_in(text).render().unwrap(),
                desk(text, 2).render().unwrap(),
                invitation(text).render().unwrap(),
            ],
            [on.render().unwrap(), invited.render().unwrap()],
        )
    }

    #[test]
    fn a_hostile_value_stays_text() {
        let (forms, others) = all(HOSTILE);
        for page in forms.iter().chain(&others) {
            let own = usize::from(page.contains("passkey.js"));
            assert_eq!(page.matches("<script").count(), own, "{page}");
            assert!(!page.contains("<img src=x"), "{page}");
            assert!(!page.contains("\"'>"), "{page}");
            assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
        }
    }

    #[test]
    fn a_page_has_one_heading_and_nothing_inline() {
        let (forms, others) = all("plain");
        for page in forms.iter().chain(&others) {
            for once in ["<h1", "<main", "<header", "<footer", "<title"] {
                assert_eq!(page.matches(once).count(), 1, "{once} in {page}");
            }
            let tags = page.split('<').filter_map(|text| text.split('>').next());
            for tag in tags {
                for forbidden in ["style ", "style=", " on", "data:", "//"] {
                    assert!(!tag.contains(forbidden), "{forbidden} in <{tag}");
                }
            }
            assert!(!page.contains("<aside"), "{page}");
        }
        for page in &forms {
            let script = "<script src=\"/idp/assets/passkey.js?";
            assert!(page.contains(script), "{page}");
            assert!(page.contains(" defer></script>"), "{page}");
        }
        for page in &others {
            assert!(!page.contains("<script"), "{page}");
        }
    }

    #[test]
    fn a_demonstration_says_so_on_every_page() {
        let shell = Shell::new(true);
        let page = SignInFormPage {
            shell,
            ..sign_in("plain")
        };
        let page = page.render().unwrap();
        assert!(page.contains("This is a demonstration."), "{page}");
        let page = DeskPage {
            shell,
            ..desk("plain", 1)
        };
        let page = page.render().unwrap();
        assert!(page.contains("This is a demonstration."), "{page}");
    }

    #[test]
    fn every_field_has_its_label_and_every_reference_its_target() {
        let (forms, _) = all("plain");
        for page in forms {
            for tag in page.split('<').filter(|text| text.starts_with("input ")) {
                if tag.contains("hidden") {
                    continue;
                }
                let id = tag.split(" id=\"").nth(1).unwrap();
                let id = id.split('"').next().unwrap();
                assert!(page.contains(&format!("<label for=\"{id}\"")), "{tag}");
            }
            for names in ["aria-describedby=\"", "aria-labelledby=\""] {
                for list in page.split(names).skip(1) {
                    for id in list.split('"').next().unwrap().split(' ') {
                        assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
                    }
                }
            }
        }
    }

    #[test]
    fn after_a_failed_try_the_address_stays_and_the_password_is_empty() {
        let page = sign_in("ada@example.com").render().unwrap();

        assert_eq!(page.matches("role=\"alert\"").count(), 1);
        assert!(page.contains(words::REFUSED), "{page}");
        assert!(page.contains("value=\"ada@example.com\""), "{page}");
        let password = page.split("name=\"password\"").nth(1).unwrap();
        assert!(!password.split('>').next().unwrap().contains("value"));
        assert!(page.contains("<title>Error: Sign in"), "{page}");
    }

    #[test]
    fn nothing_can_be_changed_where_the_accounts_are_listed() {
        let page = DeskPage {
            can_change: false,
            done: None,
            problem: None,
            ..desk("plain", 2)
        };
        let page = page.render().unwrap();

        assert!(!page.contains("data-passkey"), "{page}");
        assert!(!page.contains("type=\"password\""), "{page}");
        assert!(!page.contains(">Remove<"), "{page}");
        assert!(page.contains("value=\"leave\""), "{page}");
    }

    #[test]
    fn the_last_way_to_sign_in_cannot_be_removed() {
        let last = DeskPage {
            has_password: false,
            ..desk("plain", 1)
        };
        let page = last.render().unwrap();
        assert!(!page.contains(">Remove"), "{page}");

        let page = desk("plain", 1).render().unwrap();
        assert!(page.contains(">Remove<"), "{page}");
        assert!(page.contains(">Remove the password<"), "{page}");
    }

    #[test]
    fn a_page_is_small_with_as_many_passkeys_as_there_may_be() {
        let mut page = desk("an ordinary value of some length", 20);
        page.ticket = "t".repeat(1024);
        page.passkey_options = "o".repeat(2048);

        let size = page.render().unwrap().len();

        assert!(size < 20 * 1024, "{size} bytes");
    }
}
