//! `vestibule check FILE`: would it start, and if not, why?

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use crate::config::{self, Environment, Loaded, Problems};

/// Read a configuration and report every problem in it; start nothing.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The configuration: .yaml, .toml or .json.
    file: PathBuf,
}

impl Check {
    pub fn run(&self) -> ExitCode {
        let loaded = config::load(&self.file, &Environment::of_process());
        // Whoever closed the pipe does not want to read more; the code still tells.
        let worked = match &loaded {
            Ok(loaded) => praise(loaded, &mut io::stderr().lock(), &mut io::stdout().lock()),
            Err(problems) => complain(problems, &mut io::stderr().lock()),
        };
        if loaded.is_ok() && worked.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn praise(loaded: &Loaded, notes: &mut impl Write, out: &mut impl Write) -> io::Result<()> {
    for note in &loaded.notes {
        writeln!(notes, "note: {note}")?;
    }
    let routes = counted(loaded.settings.routes.len(), "route");
    writeln!(out, "configuration is fine: {routes}, 1 provider")
}

fn complain(problems: &Problems, out: &mut impl Write) -> io::Result<()> {
    for problem in problems {
        writeln!(out, "{problem}")?;
    }
    writeln!(out, "{}", counted(problems.len(), "problem"))
}

fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;

    fn load(text: &str) -> Result<Loaded, Problems> {
        config::load_text("v.yaml", Format::Yaml, text, &Environment::default())
    }

    #[test]
    fn a_good_file_is_counted_and_its_notes_are_told() {
        let loaded = load(
            "authenticate_service_url: https://auth.example.com\n\
             identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]\n\
             routes: [{ from: https://app.example.com, to: http://app, allowed_users: [a@example.com] }]\n",
        )
        .unwrap();
        let (mut notes, mut out) = (Vec::new(), Vec::new());

        praise(&loaded, &mut notes, &mut out).unwrap();

        assert_eq!(
            String::from_utf8(notes).unwrap(),
            "note: v.yaml:3:43: routes[0].to: only a proxy needs this; ignored\n"
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "configuration is fine: 1 route, 1 provider\n"
        );
    }

    #[test]
    fn problems_come_one_a_line_and_are_counted() {
        let problems = load("{ adress: x, routes: [] }").unwrap_err();
        let mut out = Vec::new();

        complain(&problems, &mut out).unwrap();

        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), problems.len() + 1);
        assert!(text.contains("v.yaml:1:3: adress: unknown key; did you mean address?\n"));
        assert!(text.ends_with("\n4 problems\n"), "{text}");
    }
}
