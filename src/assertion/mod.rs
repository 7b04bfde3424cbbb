//! What the application is told.

/// Which headers an application gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionSettings {
    /// Families of headers, each whole.
    pub header_sets: Vec<HeaderSet>,
    /// Further headers, each with the claim that fills it.
    pub claim_headers: Vec<ClaimHeader>,
    /// How `iss` names this service.
    pub issuer: IssuerFormat,
}

/// One header that carries one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimHeader {
    /// Lower case, e.g. `x-pomerium-claim-email`.
    pub header: String,
    /// Dotted path, e.g. `email`.
    pub claim: String,
}

/// A family of identity headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSet {
    /// `X-Pomerium-Jwt-Assertion`.
    Pomerium,
    /// `X-Pomerium-Iap-Jwt-Assertion` and `X-Pomerium-Authenticated-User-{Email,Id,Groups}`.
    PomeriumLegacy,
    /// `Remote-User`, `Remote-Email`, `Remote-Groups`, `Remote-Name`.
    Remote,
}

/// The `iss` claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerFormat {
    /// `app.example.com`.
    HostOnly,
    /// `https://app.example.com/`.
    Uri,
}
