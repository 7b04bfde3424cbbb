//! Traefik, Caddy and HAProxy: method, scheme, host and path from the four `X-Forwarded-…` headers. They pass an answer
//! that is not 2xx on to the client.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use super::{
    Body, Dialect, DialectError, Headers, Reply, ReservedNames, TrustedProxies, authenticate,
    headers::{Client, Single, method},
};
use crate::{
    address::{Host, Scheme, Target},
    flow::{Refusal, TWO_CREDENTIALS, Verdict},
    policy::{AccessRequest, ClientKind},
};

/// The dialect of proxies that forward the original request's four parts.
#[derive(Clone, Debug)]
pub struct Forwarded {
    name: &'static str,
    reserved: Arc<ReservedNames>,
}

impl Forwarded {
    /// A dialect of this kind under the name that its address has.
    pub const fn new(name: &'static str, reserved: Arc<ReservedNames>) -> Self {
        Self { name, reserved }
    }
}

impl Dialect for Forwarded {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(
        &self,
        headers: &dyn Headers,
        peer: IpAddr,
        trusted: &TrustedProxies,
    ) -> Result<AccessRequest, DialectError> {
        let (mut verb, mut scheme, mut host, mut uri) = (
            Single::default(),
            Single::default(),
            Single::default(),
            Single::default(),
        );
        let (mut client, mut smuggled) = (Client::default(), false);
        headers.each(&mut |name, value| match name {
            b"x-forwarded-method" => verb.see(value),
            b"x-forwarded-proto" => scheme.see(value),
            b"x-forwarded-host" => host.see(value),
            b"x-forwarded-uri" => uri.see(value),
            _ => {
                smuggled |= self.reserved.contains(name);
                client.see(name, value);
            }
        });
        let method = method(verb.take("X-Forwarded-Method")?, "X-Forwarded-Method")?;
        let scheme = Scheme::parse(scheme.take("X-Forwarded-Proto")?)?;
        let host = Host::parse(host.take("X-Forwarded-Host")?)?;
        let target = Target::parse(uri.take("X-Forwarded-Uri")?)?;
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
            Verdict::Challenge(challenge) if challenge.client == ClientKind::Navigation => Reply {
                location: Some(challenge.login.to_string()),
                ..Reply::empty(302)
            },
            Verdict::Challenge(challenge) => Reply {
                authenticate: Some(authenticate(&challenge)),
                body: Body::Problem {
                    title: "Not signed in",
                    reason: "not_signed_in",
                    login: Some(challenge.login.to_string()),
                },
                ..Reply::empty(401)
            },
            Verdict::Refuse(refusal) => {
                let status = if refusal.reason == TWO_CREDENTIALS {
                    400
                } else {
                    403
                };
                Reply {
                    body: refused(refusal),
                    ..Reply::empty(status)
                }
            }
        }
    }
}

fn refused(refusal: Refusal) -> Body {
    // A host that is not ours gets no page that would speak of it.
    if refusal.client == ClientKind::Navigation && refusal.host.is_some() {
        return Body::Denied(refusal);
    }
    Body::Problem {
        title: "Access denied",
        reason: refusal.reason,
        login: None,
    }
}

/// The question, from parts that every dialect reads alike.
pub(super) fn access_request(
    method: Cow<'static, str>,
    scheme: Scheme,
    host: Host,
    target: Target,
    client: &Client<'_>,
    peer: IpAddr,
    trusted: &TrustedProxies,
) -> AccessRequest {
    let kind = if client.is_navigation(&method) {
        ClientKind::Navigation
    } else {
        ClientKind::Program
    };
    AccessRequest {
        client: kind,
        cors_preflight: client.is_preflight(&method),
        client_ip: trusted.client(client.forwarded_for(), peer),
        method,
        scheme,
        host,
        target,
    }
}
