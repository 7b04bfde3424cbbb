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
    #[arg(default_value = super::CONFIGURATION)]
    file: PathBuf,
}

impl Check {
    pub fn run(&self) -> ExitCode {
        let loaded = config::load(&self.file, &Environment::of_process());
        // Whoever closed the pipe does not want to read more; the code still tells.
        let told = tell(&loaded, &mut io::stderr().lock(), &mut io::stdout().lock());
        if loaded.is_ok() && told.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Good news goes to `out`, everything else to `err`.
fn tell(
    loaded: &Result<Loaded, Problems>,
    err: &mut impl Write,
    out: &mut impl Write,
) -> io::Result<()> {
    let notes = match loaded {
        Ok(loaded) => &loaded.notes,
        Err(problems) => problems.notes(),
    };
    for note in notes {
        writeln!(err, "note: {note}")?;
    }
    match loaded {
        Ok(loaded) => {
            let routes = counted(loaded.settings.routes.len(), "route");
            writeln!(out, "configuration is fine: {routes}, 1 provider")
        }
        Err(problems) => complain(problems, err),
    }
}

/// Every problem on a line, and how many there are.
pub(super) fn complain(problems: &Problems, err: &mut impl Write) -> io::Result<()> {
    for problem in problems {
        writeln!(err, "{problem}")?;
    }
    writeln!(err, "{}", counted(problems.len(), "problem"))
}

fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;

    fn check(text: &str) -> (String, String) {
        let loaded = config::load_text("v.yaml", Format::Yaml, text, &Environment::default());
        let (mut err, mut out) = (Vec::new(), Vec::new());
        tell(&loaded, &mut err, &mut out).unwrap();
        (
            String::from_utf8(err).unwrap(),
            String::from_utf8(out).unwrap(),
        )
    }

    #[test]
    fn a_good_file_is_counted_and_its_notes_are_told() {
        let (err, out) = check(
            "authenticate_service_url: https://auth.example.com\n\
             identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]\n\
             routes: [{ from: https://app.example.com, to: http://app, allowed_users: [a@example.com] }]\n",
        );

        assert_eq!(
            err,
            "note: v.yaml:3:43: routes[0].to: only a proxy needs this; ignored\n"
        );
        assert_eq!(out, "configuration is fine: 1 route, 1 provider\n");
    }

    #[test]
    fn problems_come_one_a_line_and_are_counted() {
        let (err, out) = check("{ adress: x, autocert: true, routes: [] }");

        let lines: Vec<_> = err.lines().collect();
        assert_eq!(lines.len(), 6, "{err}");
        assert_eq!(
            lines[0],
            "note: v.yaml:1:14: autocert: only a proxy needs this; ignored"
        );
        assert_eq!(
            lines[3],
            "v.yaml:1:3: adress: unknown key; did you mean address?"
        );
        assert_eq!(lines[5], "4 problems");
        assert_eq!(out, "");
    }
}
