//! Signing out where there is no `end_session_endpoint`.

use url::Url;

/// `https://tenant.auth0.com/v2/logout`, for an issuer that ends in a slash.
pub(in crate::oidc) fn auth0(issuer: &str, client_id: &str, signed_out: &str) -> Option<Url> {
    let mut url = Url::parse(issuer).ok()?.join("v2/logout").ok()?;
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("returnTo", signed_out);
    Some(url)
}

/// `/logout` on the host where people sign in, which is not the issuer's.
pub(in crate::oidc) fn cognito(authorize: &Url, client_id: &str, signed_out: &str) -> Option<Url> {
    let mut url = authorize.join("/logout").ok()?;
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("logout_uri", signed_out);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED_OUT: &str = "https://auth.example.com/.pomerium/signed_out";
    const ENCODED: &str = "https%3A%2F%2Fauth.example.com%2F.pomerium%2Fsigned_out";

    #[test]
    fn each_signs_out_at_its_own_page_and_comes_back() {
        let auth0 = auth0("https://t.auth0.com/", "c&d", SIGNED_OUT).unwrap();
        let authorize = Url::parse("https://pool.auth.amazoncognito.com/oauth2/authorize").unwrap();
        let cognito = cognito(&authorize, "c", SIGNED_OUT).unwrap();

        assert_eq!(
            auth0.as_str(),
            format!("https://t.auth0.com/v2/logout?client_id=c%26d&returnTo={ENCODED}")
        );
        assert_eq!(
            cognito.as_str(),
            format!("https://pool.auth.amazoncognito.com/logout?client_id=c&logout_uri={ENCODED}")
        );
    }
}
