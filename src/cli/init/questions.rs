//! Asks on a terminal what no flag has said. An answer that cannot be is said to be so, and asked for again.

use std::io::{self, BufRead, Write};

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::{
    Init,
    answers::{self, Allowed, Answers, Client, LOCAL, Provider},
    discovery, target,
};
use crate::{
    address::Origin,
    cli::snippets::{Application, ProxyKind},
    crypto::Secret,
};

/// Somebody who answers.
pub(super) trait Person {
    /// Says something on a line of its own.
    fn tell(&mut self, text: &str) -> Result<()>;
    /// Asks for a line; without the spaces around it.
    fn ask(&mut self, question: &str) -> Result<String>;
    /// Asks for something that is not shown.
    fn ask_secret(&mut self, question: &str) -> Result<String>;
}

/// Whoever sits at the terminal.
pub(super) struct Terminal;

impl Person for Terminal {
    fn tell(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(io::stderr(), "{text}")?)
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        write!(io::stderr(), "{question} ")?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("nothing was written, because a question was not answered");
        }
        Ok(line.trim().to_owned())
    }

    fn ask_secret(&mut self, question: &str) -> Result<String> {
        Ok(rpassword::prompt_password(format!("{question} "))?)
    }
}

/// Everything, from flags and from answers.
pub(super) fn ask(init: Init, person: &mut impl Person) -> Result<Answers> {
    let proxy = match init.proxy {
        Some(proxy) => proxy,
        None => until(
            person,
            "Which proxy: nginx, traefik, caddy or haproxy? [nginx]",
            |text| match text {
                "" => Ok(ProxyKind::Nginx),
                text => ProxyKind::from_str(text, true)
                    .map_err(|_| "write nginx, traefik, caddy or haproxy".to_owned()),
            },
        )?,
    };
    target::refuse(
        &init.dir,
        proxy,
        init.client_secret_file.is_some(),
        init.force,
    )?;
    let applications = applications(&init, person)?;
    let authenticate = authenticate(&init, &applications, person)?;
    let allowed = init.allowed();
    let provider = provider(init, &authenticate, person)?;
    let allowed = match provider {
        Provider::Outside(_) if allowed.is_nobody() => who_may(person)?,
        _ => allowed,
    };
    Ok(Answers {
        proxy,
        applications,
        authenticate,
        provider,
        allowed,
    })
}

fn applications(init: &Init, person: &mut impl Person) -> Result<Vec<Application>> {
    let mut applications = Vec::new();
    for text in &init.apps {
        applications.push(
            answers::application(text).map_err(|why| anyhow::anyhow!("--app {text}: {why}"))?,
        );
    }
    answers_fit(&applications, init)?;
    if !applications.is_empty() {
        return Ok(applications);
    }
    person.tell("Where browsers find your applications, and after = where the proxy finds them (127.0.0.1:3000 if left out):\nhttps://app.example.com=127.0.0.1:3000")?;
    loop {
        let question = match applications.len() {
            0 => "An application:",
            _ => "One more, or nothing:",
        };
        let known = applications.clone();
        let next = until(person, question, |text| {
            if text.is_empty() && !known.is_empty() {
                return Ok(None);
            }
            let one = answers::application(text)?;
            let all = [known.as_slice(), std::slice::from_ref(&one)].concat();
            answers::fit(&all, None)?;
            Ok(Some(one))
        })?;
        match next {
            Some(one) => applications.push(one),
            None => return Ok(applications),
        }
    }
}

fn answers_fit(applications: &[Application], init: &Init) -> Result<()> {
    if init.apps.is_empty() {
        return Ok(());
    }
    answers::fit(applications, None).map_err(anyhow::Error::msg)
}

fn authenticate(
    init: &Init,
    applications: &[Application],
    person: &mut impl Person,
) -> Result<Origin> {
    let read = |text: &str| {
        let origin = answers::origin(text)?;
        answers::fit(applications, Some(&origin))?;
        Ok(origin)
    };
    if let Some(text) = &init.auth {
        return read(text).map_err(|why: String| anyhow::anyhow!("--auth {text}: {why}"));
    }
    let likely = answers::beside(applications);
    let question = match &likely {
        Some(likely) => format!("Where people sign in, a host of its own: [{likely}]"),
        None => "Where people sign in, a host of its own:".to_owned(),
    };
    until(person, &question, |text| match (text, &likely) {
        ("", Some(likely)) => read(likely),
        (text, _) => read(text),
    })
}

fn provider(init: Init, authenticate: &Origin, person: &mut impl Person) -> Result<Provider> {
    let mut given = init.provider;
    loop {
        let issuer = match given.take() {
            Some(text) if text == LOCAL => None,
            Some(text) => Some(
                answers::issuer(&text)
                    .map_err(|why| anyhow::anyhow!("--provider {text}: {why}"))?,
            ),
            None => until(
                person,
                "Who proves who people are: local, which is built in, or an issuer such as https://idp.example.com? [local]",
                |text| match text {
                    "" | LOCAL => Ok(None),
                    text => answers::issuer(text).map(Some),
                },
            )?,
        };
        let Some(issuer) = issuer else {
            target::refuse_client(
                init.client_id.as_deref(),
                init.client_secret_file.as_deref(),
            )?;
            return Ok(Provider::Local);
        };
        let mut client = Client {
            issuer,
            id: String::new(),
            secret: None,
        };
        if !init.no_discovery
            && let Err(why) = discovery::ask(&client, authenticate)
        {
            person.tell(&why)?;
            if !person
                .ask("Go on all the same? [y/N]")?
                .eq_ignore_ascii_case("y")
            {
                continue;
            }
        }
        client.id = match &init.client_id {
            Some(id) => id.clone(),
            None => until(person, "Your client id there:", |text| match text {
                "" => Err("it is the name under which Vestibule is registered there".to_owned()),
                text => Ok(text.to_owned()),
            })?,
        };
        client.secret = match &init.client_secret_file {
            Some(path) => Some(target::read_secret(path)?),
            None => Some(
                person
                    .ask_secret("Its secret, or nothing for a public client (it is not shown):")?,
            )
            .filter(|secret| !secret.trim().is_empty())
            .map(Secret::new),
        };
        return Ok(Provider::Outside(client));
    }
}

fn who_may(person: &mut impl Person) -> Result<Allowed> {
    until(
        person,
        "Who may come in, separated by commas: domains, e-mail addresses, group:NAME?",
        |text| {
            let mut allowed = Allowed::default();
            for word in text.split(',').filter(|word| !word.trim().is_empty()) {
                answers::allow(word, &mut allowed)?;
            }
            if allowed.is_nobody() {
                return Err("name somebody: anybody could have an account there".to_owned());
            }
            Ok(allowed)
        },
    )
}

/// Asks until the answer can be read.
fn until<T>(
    person: &mut impl Person,
    question: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T> {
    loop {
        let text = person.ask(question)?;
        match read(&text) {
            Ok(answer) => return Ok(answer),
            Err(why) => person.tell(&why)?,
        }
    }
}
