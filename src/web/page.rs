//! What a person reads: the pages, one struct for each template in `static/pages/`.
//!
//! A page only shows: whoever builds one has already decided what may be seen, and chosen the words. askama escapes
//! every value. Addresses (`retry`, `again`, [`Link::href`]) must come from our own routes or a safe redirect, since
//! escaping does not make an address harmless.

use askama::Template;

use super::assets::{PASSKEY_URL, STYLE_URL};

/// What is around every page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shell {
    /// Address of the stylesheet.
    pub(super) style: &'static str,
    /// Address of the script, for the pages that need it.
    pub(super) script: &'static str,
    /// Whether everybody knows the accounts, which a banner then says.
    pub(super) is_demo: bool,
}

impl Shell {
    /// Around the pages of a Vestibule that is a demonstration, or is not.
    pub(super) const fn new(is_demo: bool) -> Self {
        Self {
            style: STYLE_URL,
            script: PASSKEY_URL,
            is_demo,
        }
    }
}

/// Who is signed in, as far as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    /// The display name; the e-mail or the subject stands in when it is empty.
    pub(super) name: String,
    /// The e-mail address, if there is one.
    pub(super) email: Option<String>,
    /// The provider's `sub`.
    pub(super) subject: String,
    /// Groups; the page folds all after the twelfth.
    pub(super) groups: Vec<String>,
    /// The provider's name, as the operator calls it.
    pub(super) provider: String,
    /// The provider's `iss`.
    pub(super) issuer: String,
}

/// A session in words, times written out: `21 November 2026, 09:14 UTC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionFacts {
    /// A short reference, not the handle.
    pub(super) label: String,
    /// When the person signed in.
    pub(super) signed_in: String,
    /// When the session ends, whatever happens.
    pub(super) ends: String,
    /// When the session ends if nobody uses it.
    pub(super) idle_ends: String,
}

/// One of a person's sessions, times written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnSession {
    /// Which: goes with the form that ends it.
    pub(super) label: String,
    /// What the browser is; `Unknown browser` where nothing is known.
    pub(super) browser: String,
    /// Where from, if that is known.
    pub(super) address: Option<String>,
    /// When the person signed in.
    pub(super) signed_in: String,
    /// When it was last used.
    pub(super) seen: String,
    /// Whether it is the one that the page was asked with.
    pub(super) is_current: bool,
}

/// A way on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Where to; never taken from a request unchecked.
    pub(super) href: String,
    /// What it does.
    pub(super) label: String,
}

/// Who am I, and until when.
#[derive(Template)]
#[template(path = "account.html")]
pub(super) struct AccountPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The application's host.
    pub(super) host: String,
    /// Nobody, if not signed in.
    pub(super) person: Option<Person>,
    /// Nothing, if the person came without a session.
    pub(super) session: Option<SessionFacts>,
    /// The claims that [`Person`] does not show: name, and values joined.
    pub(super) claims: Vec<(String, String)>,
    /// Goes with the sign-out form.
    pub(super) csrf: String,
    /// Every session of the person, or the first [`crate::flow::OWN`]; nothing where they are not to be seen.
    pub(super) sessions: Option<Vec<OwnSession>>,
    /// Where they are to be seen, if that is elsewhere.
    pub(super) elsewhere: Option<String>,
    /// Where the person changes how they sign in, if that is our business.
    pub(super) desk: Option<String>,
}

/// A rule said no (403).
#[derive(Template)]
#[template(path = "denied.html")]
pub(super) struct DeniedPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The application's host.
    pub(super) host: String,
    /// Whom the rule refused; nobody, if not signed in.
    pub(super) person: Option<Person>,
    /// Why, in one sentence of plain words.
    pub(super) reason: String,
    /// The request id, for the administrator.
    pub(super) reference: String,
    /// Goes with the form that changes the account.
    pub(super) csrf: String,
}

/// Something went wrong.
#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The heading.
    pub(super) title: String,
    /// What happened, in one or two sentences.
    pub(super) message: String,
    /// What the person can do; may be empty.
    pub(super) advice: String,
    /// A way on, if there is one.
    pub(super) action: Option<Link>,
    /// The request id, for the administrator.
    pub(super) reference: String,
    /// The status of this very answer.
    pub(super) status: u16,
}

/// Signing in has to wait: the provider does not answer.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignInPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The application's host.
    pub(super) host: String,
    /// The provider's name, as the operator calls it.
    pub(super) provider: String,
    /// Where the attempt begins anew.
    pub(super) retry: String,
    /// The request id, for the administrator.
    pub(super) reference: String,
}

/// One provider to sign in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Where its sign-in begins.
    pub(super) href: String,
    /// Its name, as the operator calls it.
    pub(super) name: String,
    /// Whether it was chosen the last time.
    pub(super) was_last: bool,
}

/// At which provider?
#[derive(Template)]
#[template(path = "choose.html")]
pub(super) struct ChoosePage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The host that the person signs in for.
    pub(super) host: String,
    /// The providers, in this order.
    pub(super) ways: Vec<Way>,
    /// Where the answer is posted, when it is also asked whether somebody stays signed in; else each way is a link.
    pub(super) form: Option<String>,
    /// Whether that is ticked already.
    pub(super) stays: bool,
}

/// On the way to a provider, from a form.
#[derive(Template)]
#[template(path = "onward.html")]
pub(super) struct OnwardPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The authenticate host.
    pub(super) host: String,
    /// Where the way leads: a safe redirect.
    pub(super) to: String,
}

/// Sign out? Asked where a sign-out could have been begun by another site.
#[derive(Template)]
#[template(path = "sign_out.html")]
pub(super) struct SignOutPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The application's host.
    pub(super) host: String,
    /// Goes with the sign-out form.
    pub(super) csrf: String,
    /// Where the person wants to go on to, as it was asked for: looked at when the form comes back.
    pub(super) onward: Option<String>,
    /// Whether every session of the person is meant.
    pub(super) is_everywhere: bool,
}

/// The session has ended.
#[derive(Template)]
#[template(path = "signed_out.html")]
pub(super) struct SignedOutPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The application's host.
    pub(super) host: String,
    /// The provider's name, as the operator calls it.
    pub(super) provider: String,
    /// Whether the person may still be signed in there, and nothing of ours changes that.
    pub(super) may_stay: bool,
    /// Where the provider signs the person out too.
    pub(super) away: Option<String>,
    /// Where the person goes on to.
    pub(super) onward: Option<String>,
    /// Where signing in begins anew.
    pub(super) again: String,
}

/// May a program act as you?
#[derive(Template)]
#[template(path = "consent.html")]
pub(super) struct ConsentPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The authenticate host.
    pub(super) host: String,
    /// The application's host.
    pub(super) application: String,
    /// The program's port, if it is on the person's computer.
    pub(super) port: Option<u16>,
    /// Its host, if it is not.
    pub(super) receiver: String,
    /// Whom it would act for.
    pub(super) person: String,
    /// Goes with the form, hidden.
    pub(super) question: String,
}

/// The person has answered.
#[derive(Template)]
#[template(path = "consented.html")]
pub(super) struct ConsentedPage {
    /// What is around it.
    pub(super) shell: Shell,
    /// The authenticate host.
    pub(super) host: String,
    /// Where the way leads, a safe redirect; nowhere when it was a no.
    pub(super) to: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Shell = Shell {
        style: "/.pomerium/assets/style.css?v=1",
        script: "/idp/assets/passkey.js?v=1",
        is_demo: false,
    };
    const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}&amp;";

    fn person(text: &str, groups: usize) -> Person {
        Person {
            name: text.to_owned(),
            email: Some(text.to_owned()),
            subject: text.to_owned(),
            groups: vec![text.to_owned(); groups],
            provider: text.to_owned(),
            issuer: text.to_owned(),
        }
    }

    fn account(text: &str, groups: usize) -> AccountPage {
        AccountPage {
            shell: SHELL,
            host: text.to_owned(),
            person: Some(person(text, groups)),
            session: Some(SessionFacts {
                label: text.to_owned(),
                signed_in: text.to_owned(),
                ends: text.to_owned(),
                idle_ends: text.to_owned(),
            }),
            claims: vec![
                (text.to_owned(), text.to_owned()),
                (text.to_owned(), String::new()),
            ],
            csrf: text.to_owned(),
            sessions: Some(vec![own_session(text, true), own_session(text, false)]),
            elsewhere: Some(text.to_owned()),
            desk: Some(text.to_owned()),
        }
    }

    fn own_session(text: &str, is_current: bool) -> OwnSession {
        OwnSession {
            label: text.to_owned(),
            browser: text.to_owned(),
            address: Some(text.to_owned()),
            signed_in: text.to_owned(),
            seen: text.to_owned(),
            is_current,
        }
    }

    fn denied(text: &str) -> DeniedPage {
        DeniedPage {
            shell: SHELL,
            host: text.to_owned(),
            person: Some(person(text, 1)),
            reason: text.to_owned(),
            reference: text.to_owned(),
            csrf: text.to_owned(),
        }
    }

    /// Every page, every value the same, every optional part shown.
    fn all(text: &str) -> Vec<String> {
        let value = || text.to_owned();
        let error = ErrorPage {
            shell: SHELL,
            title: value(),
            message: value(),
            advice: value(),
            action: Some(Link {
                href: value(),
                label: value(),
            }),
            reference: value(),
            status: 502,
        };
        let sign_in = SignInPage {
            shell: SHELL,
            host: value(),
            provider: value(),
            retry: value(),
            reference: value(),
        };
        let sign_out = SignOutPage {
            shell: SHELL,
            host: value(),
            csrf: value(),
            onward: Some(value()),
            is_everywhere: true,
        };
        let choose = ChoosePage {
            shell: SHELL,
            host: value(),
            ways: [true, false]
                .map(|was_last| Way {
                    href: value(),
                    name: value(),
                    was_last,
                })
                .to_vec(),
            form: Some(value()),
            stays: false,
        };
        let signed_out = SignedOutPage {
            shell: SHELL,
            host: value(),
            provider: value(),
            may_stay: true,
            away: None,
            onward: Some(value()),
            again: value(),
        };

        let consent = |port| ConsentPage {
            shell: SHELL,
            host: value(),
            application: value(),
            port,
            receiver: value(),
            person: value(),
            question: value(),
        };
        let consented = |to| ConsentedPage {
            shell: SHELL,
            host: value(),
            to,
        };

        vec![
            consent(Some(8123)).render().unwrap(),
            consent(None).render().unwrap(),
            consented(Some(value())).render().unwrap(),
            consented(None).render().unwrap(),
            account(text, 3).render().unwrap(),
            AccountPage {
                person: None,
                ..account(text, 0)
            }
            .render()
            .unwrap(),
            denied(text).render().unwrap(),
            DeniedPage {
                person: None,
                ..denied(text)
            }
            .render()
            .unwrap(),
            error.render().unwrap(),
            sign_in.render().unwrap(),
            sign_out.render().unwrap(),
            choose.render().unwrap(),
            signed_out.render().unwrap(),
        ]
    }

    #[test]
    fn a_hostile_value_stays_text() {
        for page in all(HOSTILE) {
            assert!(!page.contains("<script"), "{page}");
            assert!(!page.contains("<img src=x"), "{page}");
            assert!(!page.contains("\"'>"), "{page}");
            assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
            assert!(
                page.contains("&#38;amp;"),
                "escaped once, and once only: {page}"
            );
        }
    }

    #[test]
    fn a_page_asks_for_nothing_that_its_policy_forbids() {
        for page in all("plain") {
            for tag in page
                .split_inclusive('>')
                .filter_map(|text| text.rsplit_once('<'))
            {
                for forbidden in ["script", "style ", "style=", " on", "data:", "//"] {
                    assert!(!tag.1.contains(forbidden), "{forbidden} in <{}", tag.1);
                }
            }
        }
    }

    #[test]
    fn a_page_has_one_heading_a_language_and_its_landmarks() {
        for page in all("plain") {
            for once in [
                "<h1",
                "<main",
                "<header",
                "<footer",
                "<html lang=\"en-GB\"",
                "<title",
            ] {
                assert_eq!(page.matches(once).count(), 1, "{once} in {page}");
            }
            assert!(
                page.contains(&format!("href=\"{}\"", SHELL.style)),
                "{page}"
            );
        }
    }

    #[test]
    fn a_page_is_small_with_its_stylesheet_and_two_hundred_groups() {
        let style = include_str!("../../static/assets/style.css");
        let mut pages = all("an ordinary value of some length");
        let session = own_session("an ordinary value of some length", false);
        let page = AccountPage {
            sessions: Some(vec![session; crate::flow::OWN]),
            ..account("engineering", 60)
        };
        pages.push(account("engineering", 200).render().unwrap());
        pages.push(page.render().unwrap());

        for page in pages {
            let size = page.len() + style.len();
            assert!(size < 20 * 1024, "{size} bytes: {page}");
        }
    }

    #[test]
    fn every_group_is_on_the_page_and_the_rest_of_many_is_folded() {
        let page = account("engineering", 200).render().unwrap();

        assert_eq!(page.matches("<li><bdi>engineering</bdi></li>").count(), 200);
        assert!(page.contains("<summary>188 more</summary>"), "{page}");
    }

    #[test]
    fn a_person_without_a_name_is_called_by_the_email_then_by_the_subject() {
        let mut page = account("", 0);
        page.person = Some(Person {
            email: Some("ada@example.com".into()),
            ..person("", 0)
        });
        assert!(
            page.render()
                .unwrap()
                .contains("You are <bdi>ada@example.com</bdi>")
        );

        page.person = Some(Person {
            email: None,
            subject: "248289761001".into(),
            ..person("", 0)
        });
        assert!(
            page.render()
                .unwrap()
                .contains("You are <bdi>248289761001</bdi>")
        );
    }

    #[test]
    fn only_a_form_can_sign_out_and_it_carries_its_token() {
        let token = "<input type=\"hidden\" name=\"csrf\" value=\"token\">";
        let form = "method=\"post\" action=\"/.pomerium/sign_out\"";
        let sign_out = SignOutPage {
            shell: SHELL,
            host: "app.example.com".into(),
            csrf: "token".into(),
            onward: None,
            is_everywhere: false,
        };

        for page in [
            account("token", 0).render(),
            denied("token").render(),
            sign_out.render(),
            SignOutPage {
                is_everywhere: true,
                ..sign_out
            }
            .render(),
        ] {
            let page = page.unwrap();
            assert!(page.contains(token) && page.contains(form), "{page}");
            assert!(!page.contains("href=\"/.pomerium/sign_out"), "{page}");
        }
    }

    #[test]
    fn each_provider_is_a_link_and_the_last_choice_says_so() {
        let way = |name: &str, was_last| Way {
            href: format!("/.pomerium/sign_in?k=a&q=b&vestibule_idp={name}"),
            name: name.to_owned(),
            was_last,
        };
        let page = ChoosePage {
            shell: SHELL,
            host: "app.example.com".to_owned(),
            ways: vec![way("partners", true), way("corp", false)],
            form: None,
            stays: false,
        };

        let page = page.render().unwrap();
        assert!(!page.contains("<form"), "{page}");

        let (first, second) = page.split_once("</li>").unwrap();
        assert!(
            first.contains("href=\"/.pomerium/sign_in?k=a&#38;q=b&#38;vestibule_idp=partners\""),
            "{page}"
        );
        assert!(first.contains("The last one you used"), "{page}");
        assert!(second.contains("vestibule_idp=corp"), "{page}");
        assert!(!second.contains("The last one"), "{page}");
        assert!(!page.contains("<form"), "{page}");
    }

    #[test]
    fn where_nobody_is_signed_in_the_account_page_offers_to_sign_in() {
        let page = AccountPage {
            person: None,
            session: None,
            ..account("app.example.com", 0)
        };

        let page = page.render().unwrap();

        assert!(page.contains("Nobody is signed in"), "{page}");
        assert!(page.contains("href=\"/.pomerium/sign_in\""), "{page}");
        assert!(!page.contains("<form"), "{page}");
    }
}
