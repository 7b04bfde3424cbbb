//! Registering a passkey, and signing in with one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;
use webauthn_rs_core::{
    WebauthnCore,
    proto::{
        AuthenticationState, ParsedAttestation, PublicKeyCredential, RegisterPublicKeyCredential,
        RegistrationState, ResidentKeyRequirement, UserVerificationPolicy,
    },
};

use super::Passkey;
use crate::clock::Timestamp;

/// How long a person may take.
const TIMEOUT: Duration = Duration::from_mins(5);
/// The longest answer of a browser that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// WebAuthn §4, credential id.
const MAX_ID: usize = 1023;

/// Why a ceremony came to nothing. The text is for the log.
#[derive(Debug, Error)]
pub enum CeremonyError {
    /// What the browser sent is not the JSON of a credential.
    #[error("the browser's answer is no credential")]
    Malformed,
    /// The signature, the challenge, the origin or a flag is wrong.
    #[error("the credential was not accepted: {0}")]
    Refused(String),
}

/// What has to be remembered while somebody registers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registration(RegistrationState);

/// What has to be remembered while somebody signs in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Authentication(AuthenticationState);

/// What a browser shows to sign in, before anything of it is believed.
#[derive(Debug)]
pub struct Shown {
    credential: PublicKeyCredential,
}

impl Shown {
    /// Reads a browser's answer.
    pub fn parse(json: &str) -> Result<Self, CeremonyError> {
        if json.len() > MAX_ANSWER {
            return Err(CeremonyError::Malformed);
        }
        let credential: PublicKeyCredential =
            serde_json::from_str(json).map_err(|_| CeremonyError::Malformed)?;
        Ok(Self { credential })
    }

    /// Which passkey it says it is.
    pub fn id(&self) -> &[u8] {
        self.credential.raw_id.as_slice()
    }

    /// Whose passkey it says it is; the device remembers from the registration.
    pub fn user(&self) -> Option<&[u8]> {
        let user = self.credential.response.user_handle.as_ref()?;
        Some(user.as_slice())
    }
}

/// The ceremonies of one relying party.
#[derive(Debug)]
pub struct Ceremonies {
    core: WebauthnCore,
}

impl Ceremonies {
    /// For the host and origin, under the name that a browser shows.
    pub fn new(host: &str, origin: &Url, name: &str) -> Self {
        Self {
            core: WebauthnCore::new_unsafe_experts_only(
                name,
                host,
                vec![origin.clone()],
                TIMEOUT,
                Some(false),
                Some(false),
            ),
        }
    }

    /// Begins a registration for somebody. The first text is `PublicKeyCredentialCreationOptions` as JSON.
    pub fn register(
        &self,
        user: &[u8],
        name: &str,
        display_name: &str,
        existing: &[Passkey],
    ) -> Result<(String, Registration), CeremonyError> {
        let exclude = existing.iter().map(|passkey| passkey.id().to_vec());
        let builder = self
            .core
            .new_challenge_register_builder(user, name, display_name)
            .map_err(refused)?
            .user_verification_policy(UserVerificationPolicy::Required)
            .require_resident_key(true)
            .exclude_credentials(Some(exclude.collect()));
        let (mut challenge, state) = self
            .core
            .generate_challenge_register(builder)
            .map_err(refused)?;
        if let Some(selection) = &mut challenge.public_key.authenticator_selection {
            selection.resident_key = Some(ResidentKeyRequirement::Required);
        }
        Ok((text(&challenge.public_key)?, Registration(state)))
    }

    /// Ends a registration: a passkey that nobody has yet, if the caller has looked.
    pub fn finish_registration(
        &self,
        json: &str,
        state: &Registration,
        label: &str,
        now: Timestamp,
    ) -> Result<Passkey, CeremonyError> {
        if json.len() > MAX_ANSWER {
            return Err(CeremonyError::Malformed);
        }
        let answer: RegisterPublicKeyCredential =
            serde_json::from_str(json).map_err(|_| CeremonyError::Malformed)?;
        refuse_frames(answer.response.client_data_json.as_slice())?;
        let mut credential = self
            .core
            .register_credential(&answer, &state.0, None)
            .map_err(refused)?;
        // Nothing asks for them later, and a browser can make them as long as its answer.
        credential.transports = None;
        credential.attestation = ParsedAttestation::default();
        if !credential.user_verified || credential.cred_id.len() > MAX_ID {
            return Err(refused("the device did not check who holds it"));
        }
        Ok(Passkey {
            credential,
            label: label.to_owned(),
            made: now,
            used: None,
        })
    }

    /// Begins a sign-in of whoever it may be. The first text is `PublicKeyCredentialRequestOptions` as JSON.
    pub fn authenticate(&self) -> Result<(String, Authentication), CeremonyError> {
        let builder = self
            .core
            .new_challenge_authenticate_builder(Vec::new(), Some(UserVerificationPolicy::Required))
            .map_err(refused)?;
        let (challenge, state) = self
            .core
            .generate_challenge_authenticate(builder)
            .map_err(refused)?;
        Ok((text(&challenge.public_key)?, Authentication(state)))
    }

    /// Ends a sign-in with the passkey that [`Shown::id`] names. The passkey as it is to be kept from now on comes back,
    /// if anything in it has changed.
    pub fn finish_authentication(
        &self,
        shown: &Shown,
        state: &Authentication,
        passkey: &Passkey,
    ) -> Result<Option<Passkey>, CeremonyError> {
        refuse_frames(shown.credential.response.client_data_json.as_slice())?;
        let mut state = state.0.clone();
        state.set_allowed_credentials(vec![passkey.credential.clone()]);
        let result = self
            .core
            .authenticate_credential(&shown.credential, &state)
            .map_err(refused)?;
        if !result.user_verified() {
            return Err(refused("the device did not check who holds it"));
        }
        if !result.needs_update() {
            return Ok(None);
        }
        let mut after = passkey.clone();
        after.credential.counter = result.counter();
        after.credential.backup_state = result.backup_state();
        after.credential.backup_eligible = result.backup_eligible();
        Ok(Some(after))
    }
}

/// The library lets a sign-in pass that was made within a page of another site: such a page could ask for it unseen.
fn refuse_frames(client_data: &[u8]) -> Result<(), CeremonyError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ClientData {
        #[serde(default)]
        cross_origin: Option<bool>,
        #[serde(default)]
        top_origin: Option<serde_json::Value>,
    }
    let data: ClientData =
        serde_json::from_slice(client_data).map_err(|_| CeremonyError::Malformed)?;
    if data.cross_origin == Some(true) || data.top_origin.is_some() {
        return Err(refused("it was made within a page of another site"));
    }
    Ok(())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it can be given to map_err"
)]
fn refused(cause: impl ToString) -> CeremonyError {
    CeremonyError::Refused(cause.to_string())
}

fn text(options: &impl Serialize) -> Result<String, CeremonyError> {
    serde_json::to_string(options).map_err(refused)
}
