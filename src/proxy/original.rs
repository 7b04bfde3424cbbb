//! nginx and its kin: method and URL from the two `X-Original-…` headers. They take 2xx, 401 and 403 and turn anything
//! else into a 500; a body would cost them the connection.

use std::{net::IpAddr, sync::Arc};

use super::{
    Dialect, DialectError, Headers, Reply, ReservedNames, TrustedProxies, authenticate,
    forwarded::access_request,
    headers::{Client, Single, method},
};
use crate::{
    address::{AddressError, Host, Scheme, Target},
    flow::Verdict,
    policy::{AccessRequest, ClientKind},
};

/// The dialect of `auth_request`.
#[derive(Clone, Debug)]
pub struct Original {
    reserved: Arc<ReservedNames>,
}

impl Original {
    /// The dialect, refusing these headers of clients.
    pub const fn new(reserved: Arc<ReservedNames>) -> Self {
        Self { reserved }
    }
}

impl Dialect for Original {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn read(
        &self,
        headers: &dyn Headers,
        peer: IpAddr,
        trusted: &TrustedProxies,
    ) -> Result<AccessRequest, DialectError> {
        let (mut verb, mut url) = (Single::default(), Single::default());
        let (mut client, mut smuggled) = (Client::default(), false);
        headers.each(&mut |name, value| match name {
            b"x-original-method" => verb.see(value),
            b"x-original-url" => url.see(value),
            _ => {
                smuggled |= self.reserved.contains(name);
                client.see(name, value);
            }
        });
        let method = method(verb.take("X-Original-Method")?, "X-Original-Method")?;
        let url = url.take("X-Original-URL")?;
        let (scheme, host, target) = split(url)?;
        if smuggled {
            return Err(DialectError::IdentityHeader);
        }
        Ok(access_request(
            method, scheme, host, target, &client, peer, trusted,
        ))
    }

    fn answer(&self, verdict: Verdict) -> Reply {
        match verdict {
            Verdict::Forward(identity) => Reply::forward(identity),
            // nginx would make a redirect a 500; its `error_page 401` sends the person on.
            Verdict::Challenge(challenge) => Reply {
                authenticate: Some(authenticate(&challenge)),
                location: (challenge.client == ClientKind::Navigation)
                    .then(|| challenge.login.to_string()),
                ..Reply::empty(401)
            },
            Verdict::Refuse(_) => Reply::empty(403),
        }
    }
}

/// `scheme://host[:port]/path[?query]`, where the path is what the client sent: it is cut off first, and so cannot be
/// taken for a part of the host.
fn split(url: &str) -> Result<(Scheme, Host, Target), AddressError> {
    let (scheme, rest) = url.split_once(':').ok_or(AddressError::Url)?;
    let rest = rest.strip_prefix("//").ok_or(AddressError::Url)?;
    let path = rest.find('/').ok_or(AddressError::Url)?;
    let (authority, target) = rest.split_at(path);
    Ok((
        Scheme::parse(scheme)?,
        Host::parse(authority)?,
        Target::parse(target)?,
    ))
}
