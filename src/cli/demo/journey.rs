//! The way of two people and a stranger through everything, as `--check` walks it.

use std::io::{self, Write};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    browser::{Browser, Page},
    house::Scene,
    people::Person,
};

const SIGN_IN: &str = "/idp/sign_in";
const SIGN_OUT: &str = "/.pomerium/sign_out";
/// What the proxy hands to the application.
const ASSERTION: &str = "x-pomerium-jwt-assertion";

/// Walks, and says each step. The first that is not right ends it.
pub(super) async fn walk(scene: &Scene) -> Result<()> {
    let [alice, bob] = &scene.people;
    let mut browser = Browser::new()?;

    stranger(scene).await.context("a stranger")?;
    said("a stranger is asked to sign in, and a program is told 401");

    wrong_password(scene, alice)
        .await
        .context("a wrong password")?;
    said("a wrong password is refused");

    sign_in(scene, &mut browser, alice, "app")
        .await
        .context("alice signs in")?;
    said(
        "alice signs in and is back at the page that she asked for; the application has verified who she is",
    );

    let page = browser.open(&scene.url("admin", "/reports")).await?;
    arrived(&page, &scene.url("admin", "/reports")).context("alice at the second host")?;
    known(scene, &mut browser, alice, "admin")
        .await
        .context("alice at the second host")?;
    said("alice, of the group admins, may open the second host without signing in again");

    forgery(scene, &mut browser)
        .await
        .context("a forged assertion")?;
    said("a request that brings an assertion of its own is refused");

    let mut other = Browser::new()?;
    sign_in(scene, &mut other, bob, "app")
        .await
        .context("bob signs in")?;
    denied(scene, &mut other)
        .await
        .context("bob at the second host")?;
    said("bob, of the group sales, sees the denied page there");

    sign_out(scene, &mut browser)
        .await
        .context("alice signs out")?;
    said("alice signs out, on both hosts");

    known(scene, &mut other, bob, "app")
        .await
        .context("bob afterwards")?;
    said("bob is still signed in");
    let _ = writeln!(
        io::stdout(),
        "the demonstration works behind {}",
        scene.proxy
    );
    Ok(())
}

/// Without anybody to read it, the walk goes on.
fn said(step: &str) {
    let _ = writeln!(io::stdout(), "ok: {step}");
}

async fn stranger(scene: &Scene) -> Result<()> {
    let mut browser = Browser::new()?;
    let page = browser.open(&scene.url("app", "/")).await?;
    is_form(scene, &page)?;
    let answer = browser.ask(&scene.url("app", "/"), &[]).await?;
    ensure!(
        answer.status == 401,
        "as a program: {} instead of 401",
        answer.status
    );
    Ok(())
}

async fn wrong_password(scene: &Scene, person: &Person) -> Result<()> {
    let mut browser = Browser::new()?;
    let page = browser.open(&scene.url("app", "/")).await?;
    let fields = [("email", person.email), ("password", "not the password")];
    let page = browser.submit(&page, SIGN_IN, &fields).await?;
    ensure!(page.status == 401, "{} instead of 401", page.status);
    let answer = browser.ask(&scene.url("app", "/"), &[]).await?;
    ensure!(
        answer.status == 401,
        "afterwards: {} instead of 401",
        answer.status
    );
    Ok(())
}

async fn sign_in(scene: &Scene, browser: &mut Browser, person: &Person, host: &str) -> Result<()> {
    let wanted = scene.url(host, "/invoices?month=11");
    let page = browser.open(&wanted).await?;
    is_form(scene, &page)?;
    let fields = [("email", person.email), ("password", &person.password)];
    let page = browser.submit(&page, SIGN_IN, &fields).await?;
    arrived(&page, &wanted)?;
    known(scene, browser, person, host).await
}

fn is_form(scene: &Scene, page: &Page) -> Result<()> {
    ensure!(page.status == 200, "{} at {}", page.status, page.url.path());
    let there = page.url.as_str().starts_with(&scene.url("auth", "/idp/"));
    ensure!(there, "no sign-in form, but {}", page.url.path());
    Ok(())
}

fn arrived(page: &Page, wanted: &str) -> Result<()> {
    ensure!(page.status == 200, "{} at {}", page.status, page.url.path());
    ensure!(
        page.url.as_str() == wanted,
        "came to {} instead",
        page.url.path()
    );
    Ok(())
}

/// What the application says of a person.
async fn known(scene: &Scene, browser: &mut Browser, person: &Person, host: &str) -> Result<()> {
    let answer = browser.ask(&scene.url(host, "/"), &[]).await?;
    ensure!(
        answer.status == 200,
        "{} from the application",
        answer.status
    );
    let told: Value = serde_json::from_str(&answer.body).context("the application's answer")?;
    let at = |pointer: &str| told.pointer(pointer).unwrap_or(&Value::Null);
    ensure!(
        *at("/assertion/valid") == true,
        "the assertion is not valid: {}",
        at("/assertion/problem")
    );
    let name = format!("{host}.localhost");
    for (pointer, expected) in [
        ("/assertion/claims/aud", Value::from(name)),
        ("/assertion/claims/email", Value::from(person.email)),
        ("/assertion/claims/name", Value::from(person.name)),
        ("/assertion/claims/groups", Value::from(person.groups)),
    ] {
        ensure!(*at(pointer) == expected, "{pointer} is {}", at(pointer));
    }
    Ok(())
}

async fn forgery(scene: &Scene, browser: &mut Browser) -> Result<()> {
    let answer = browser
        .ask(
            &scene.url("app", "/"),
            &[(ASSERTION, "eyJhbGciOiJub25lIn0.e30.")],
        )
        .await?;
    ensure!(answer.status == 403, "{} instead of 403", answer.status);
    Ok(())
}

async fn denied(scene: &Scene, browser: &mut Browser) -> Result<()> {
    let page = browser.open(&scene.url("admin", "/reports")).await?;
    ensure!(page.status == 403, "{} instead of 403", page.status);
    let says_why = page.body.contains("You may not open this page");
    ensure!(says_why, "the denied page does not say so");
    Ok(())
}

async fn sign_out(scene: &Scene, browser: &mut Browser) -> Result<()> {
    let account = browser.open(&scene.url("app", "/.pomerium/")).await?;
    let page = browser.submit(&account, SIGN_OUT, &[]).await?;
    ensure!(page.status == 200, "{} instead of 200", page.status);
    for host in ["app", "admin"] {
        let answer = browser.ask(&scene.url(host, "/"), &[]).await?;
        ensure!(
            answer.status == 401,
            "{host} still answers with {}",
            answer.status
        );
    }
    is_form(scene, &browser.open(&scene.url("app", "/")).await?)
}
