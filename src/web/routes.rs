//! Which address leads where.

use actix_web::{
    guard::{self, GuardContext},
    web::{self, Data, PayloadConfig, ServiceConfig, get, head, post},
};

use super::{
    account,
    admin::{self, AdminToken},
    assets, choice, form_post, handoff, health, idp, login, logout, notice, program, roster,
    single_logout, verification, well_known,
};
use crate::local::LocalProvider;

/// The longest form with a logout token, in bytes: as long as an ID token may be, and its name.
const MAX_LOGOUT_TOKEN: usize = 17 * 1024;
/// The longest sealed question about a token, in bytes.
const MAX_QUESTION: usize = 9 * 1024;
/// The longest form with a passkey's answer, in bytes.
const MAX_FORM: usize = 64 * 1024;
/// The longest order to end sessions, in bytes.
const MAX_ORDER: usize = 4 * 1024;
/// The longest notice of the authenticate side, in bytes.
const MAX_NOTICE: usize = 2 * 1024;

/// Pages and flows.
pub(super) fn pages(config: &mut ServiceConfig) {
    for (path, handler) in [("/ping", "ping"), ("/healthz", "healthz")] {
        config.service(
            web::resource(path)
                .name(handler)
                .route(get().to(health::alive))
                .route(head().to(health::alive)),
        );
    }
    config
        .service(web::resource("/robots.txt").route(get().to(assets::robots)))
        .service(web::resource("/.pomerium").route(get().to(account::enter)))
        .service(web::resource("/.pomerium/").route(get().to(account::account)))
        .service(web::resource("/.pomerium/sessions").route(post().to(roster::end)))
        .service(web::resource("/.pomerium/user").route(get().to(account::user)))
        .service(web::resource("/.pomerium/jwt").route(get().to(account::jwt)))
        .service(web::resource("/.pomerium/denied").to(account::denied))
        .service(
            web::resource("/.pomerium/sign_in")
                .route(get().to(login::sign_in))
                .route(post().to(choice::chosen)),
        )
        .service(callback("/oauth2/callback"))
        .service(callback("/oauth2/callback/{provider}"))
        .service(web::resource("/.pomerium/callback/").route(get().to(handoff::callback)))
        .service(
            web::resource("/.pomerium/api/v1/login")
                .route(get().to(program::login))
                .default_service(web::route().to(program::login_is_get)),
        )
        .service(web::resource("/.pomerium/api/v1/token").route(post().to(program::token)))
        .service(web::resource("/.pomerium/consent").route(post().to(program::consent)))
        .service(
            web::resource("/.pomerium/sign_out")
                .route(get().to(logout::sign_out))
                .route(post().to(logout::sign_out)),
        )
        .service(
            web::resource("/.pomerium/frontchannel_logout")
                .route(get().to(single_logout::frontchannel)),
        )
        .service(
            web::resource("/.pomerium/backchannel_logout")
                .app_data(PayloadConfig::new(MAX_LOGOUT_TOKEN))
                .route(post().to(single_logout::backchannel)),
        )
        .service(
            web::resource("/.pomerium/session_over")
                .app_data(PayloadConfig::new(MAX_NOTICE))
                .route(post().to(notice::session_over)),
        )
        .service(verification("/.pomerium/verify-access-token"))
        .service(verification("/.pomerium/verify-identity-token"))
        .service(web::resource("/.pomerium/signed_out").route(get().to(logout::signed_out)))
        .service(web::resource("/.pomerium/assets/style.css").route(get().to(assets::style)))
        .service(web::resource("/.pomerium/assets/favicon.svg").route(get().to(assets::favicon)))
        .service(web::resource("/").route(get().to(account::first_page)))
        .default_service(web::route().to(health::nothing_here));
    // An issuer that ends in a slash makes some clients ask for `//.well-known/…`.
    for slash in ["", "/"] {
        config
            .service(well_known(format!("{slash}/.well-known/pomerium"), || {
                get().to(well_known::document)
            }))
            .service(well_known(format!("{slash}/.well-known/pomerium/"), || {
                get().to(well_known::document)
            }))
            .service(well_known(
                format!("{slash}/.well-known/pomerium/jwks.json"),
                || get().to(well_known::jwks),
            ))
            .service(well_known(
                format!("{slash}/.well-known/pomerium/hpke-public-key"),
                || get().to(well_known::hpke_public_key),
            ));
    }
}

/// Where gates ask about tokens.
fn verification(path: &'static str) -> actix_web::Resource {
    web::resource(path)
        .app_data(PayloadConfig::new(MAX_QUESTION))
        .route(post().to(verification::verify_token))
}

/// The built-in provider, where there is one.
pub(super) fn idp(config: &mut ServiceConfig) {
    // A passkey's answer is longer than any other form.
    let form = || PayloadConfig::new(MAX_FORM);
    config
        .service(
            local("/idp/.well-known/openid-configuration")
                .route(get().to(idp::documents::discovery)),
        )
        .service(local("/idp/jwks.json").route(get().to(idp::documents::jwks)))
        .service(
            local("/idp/authorize")
                .route(get().to(idp::authorize::authorize))
                .route(post().to(idp::authorize::authorize)),
        )
        .service(local("/idp/token").route(post().to(idp::token::token)))
        .service(
            local("/idp/userinfo")
                .route(get().to(idp::token::userinfo))
                .route(post().to(idp::token::userinfo)),
        )
        .service(
            local("/idp/end_session")
                .route(get().to(idp::authorize::end_session))
                .route(post().to(idp::authorize::end_session)),
        )
        .service(
            local("/idp/sign_in")
                .app_data(form())
                .route(post().to(idp::sign_in::sign_in)),
        )
        .service(local("/idp/").route(get().to(idp::desk::show)))
        .service(
            local("/idp/desk")
                .app_data(form())
                .route(post().to(idp::desk::change)),
        )
        .service(
            local("/idp/invitation")
                .app_data(form())
                .route(get().to(idp::invitation::show))
                .route(post().to(idp::invitation::accept)),
        )
        .service(local("/idp/assets/passkey.js").route(get().to(idp::documents::script)));
}

/// A page of the built-in provider. Without one there is nothing at its address; a reload can bring it, or take it away.
fn local(path: &str) -> actix_web::Resource {
    let is_there = |context: &GuardContext<'_>| context.app_data::<Data<LocalProvider>>().is_some();
    web::resource(path).guard(guard::fn_guard(is_there))
}

/// Where a provider sends people back: by a redirect, or with a form.
fn callback(path: &str) -> actix_web::Resource {
    web::resource(path)
        .app_data(PayloadConfig::new(form_post::MAX_FORM))
        .route(get().to(login::callback))
        .route(post().to(form_post::relay))
}

/// A public document: any page may read it.
fn well_known(path: String, answer: impl Fn() -> actix_web::Route) -> actix_web::Resource {
    web::resource(path)
        .route(answer())
        .route(
            web::route()
                .guard(guard::Options())
                .to(well_known::preflight),
        )
        .default_service(web::route().to(well_known::not_allowed))
}

/// Metrics and readiness.
pub(super) fn metrics(config: &mut ServiceConfig) {
    config
        .service(web::resource("/metrics").route(get().to(health::metrics)))
        .service(web::resource("/livez").route(get().to(health::alive)))
        .service(web::resource("/readyz").route(get().to(health::ready)))
        .service(web::resource("/startupz").route(get().to(health::ready)))
        .configure(admin);
}

/// The admin API. Without a token there is nothing at its address; a reload can bring it, or take it away.
fn admin(config: &mut ServiceConfig) {
    let is_there = |context: &GuardContext<'_>| context.app_data::<Data<AdminToken>>().is_some();
    let resource = |path: &str| web::resource(path).guard(guard::fn_guard(is_there));
    config
        .service(resource("/admin/v1/sessions").route(get().to(admin::list)))
        .service(
            resource("/admin/v1/sessions/end")
                .app_data(PayloadConfig::new(MAX_ORDER))
                .route(post().to(admin::end)),
        )
        .service(resource("/admin/v1/sessions/{label}").route(get().to(admin::show)));
}
