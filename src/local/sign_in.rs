//! Letting somebody in, or not; and never saying why not.

use std::{net::IpAddr, sync::Arc};

use tokio::task::spawn_blocking;
use tracing::warn;

use super::{
    Account, AccountsError, Entry, LocalError, LocalProvider, Password, PasswordHash, Proof,
    SignInError, SignInForm,
    ticket::{self, CODE_LIFETIME, Code, DeskPass, FORM_LIFETIME, Ticket, TicketPurpose},
};
use crate::{
    clock::Timestamp,
    crypto::random_text,
    identity::{Email, Stay},
    telemetry::{Act, Actor, AuditEvent},
    webauthn::{Authentication, CeremonyError, Shown},
};

/// How far what is kept of a passkey's last use may lag behind.
const USED_LAG: std::time::Duration = std::time::Duration::from_hours(1);

/// What the audit log calls this provider, whatever the operator does.
const PROVIDER: &str = "local";

impl LocalProvider {
    /// The same form once more, after a try that failed.
    pub fn ask_again(&self, ticket: &str) -> Result<SignInForm, SignInError> {
        let ticket = self.open_ticket(ticket).ok_or(SignInError::Over)?;
        let TicketPurpose::SignIn { request, .. } = ticket.purpose else {
            return Err(SignInError::Over);
        };
        Ok(self.form(request, ticket.until)?)
    }

    /// Lets somebody in, or not. A password takes the time of one comparison whatever the outcome.
    pub async fn sign_in(
        &self,
        ticket: &str,
        proof: Proof<'_>,
        stay: Stay,
    ) -> Result<Entry, SignInError> {
        let outcome = self.admit(ticket, proof, stay).await;
        if let Err(SignInError::Refused(why)) = &outcome {
            let refused = AuditEvent::new(Act::SignInRefused, Actor::Person);
            self.audit().record(
                &refused
                    .at_provider(PROVIDER)
                    .at_host(self.host())
                    .because(why),
            );
        }
        outcome
    }

    async fn admit(
        &self,
        ticket: &str,
        proof: Proof<'_>,
        stay: Stay,
    ) -> Result<Entry, SignInError> {
        let ticket = self.open_ticket(ticket).ok_or(SignInError::Over)?;
        let Ticket {
            id,
            until,
            purpose: TicketPurpose::SignIn { request, passkey },
        } = ticket
        else {
            return Err(SignInError::Over);
        };
        // An account that was disabled a moment ago by somebody else is disabled now.
        self.refreshed().await;
        let (account, methods) = match proof {
            Proof::Password {
                email,
                password,
                client,
            } => {
                let account = self.by_password(email, password, client).await?;
                (account, &["pwd"][..])
            }
            Proof::Passkey(answer) => (
                self.by_passkey(answer, &passkey, &id, until).await?,
                &["pop", "user"][..],
            ),
        };
        let now = self.now();
        let Some(request) = request else {
            return Ok(Entry::Desk(self.desk_pass(&account, now)?));
        };
        let code = Code {
            id: random_text().map_err(LocalError::from)?,
            until: now + CODE_LIFETIME,
            version: account.version(),
            account: account.id.clone(),
            signed_in: now,
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            stay,
            request,
        };
        let state = code.request.state.as_deref();
        let sealed = ticket::seal(&code, self.codes(), self.host())?;
        Ok(Entry::Return(self.answer(&[("code", &sealed)], state)))
    }

    /// Sees what somebody else has changed a moment ago, off the event loop.
    pub(super) async fn refreshed(&self) {
        let accounts = Arc::clone(self.accounts());
        match spawn_blocking(move || accounts.refresh()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                warn!(error = %error, "the accounts could not be read anew; the old ones count");
            }
            Err(error) => warn!(error = %error, "the accounts could not be read anew"),
        }
    }

    /// An account has changed: whoever has a new password begins with new tries.
    pub fn forgive(&self, account: &str) {
        self.lockout().forget(account);
    }

    async fn by_password(
        &self,
        email: &str,
        password: Password,
        client: Option<IpAddr>,
    ) -> Result<Arc<Account>, SignInError> {
        // Asked first, so that who is turned away here has not used up one of an account's tries.
        let place = self.hashing().queue(client).ok_or(SignInError::Busy)?;
        let known = Email::parse(email.trim())
            .ok()
            .and_then(|email| self.accounts().by_email(&email));
        let (candidate, why_not) = match known {
            None => (None, "nobody has this address"),
            Some(account) if !self.may_sign_in(&account) => (None, "the account is disabled"),
            Some(account) => match account.password.clone() {
                None => (None, "the account has no password"),
                Some(_) if !self.lockout().admit(&account.id, self.now()) => {
                    (None, "the account is locked for a while")
                }
                Some(hash) => (Some((account, hash)), "the password is another"),
            },
        };
        let hash = candidate.as_ref().map_or_else(
            || PasswordHash::of_nobody().clone(),
            |(_, hash)| hash.clone(),
        );
        let fits = place.work(move || hash.is(&password)).await?;
        match candidate.filter(|_| fits) {
            Some((account, _)) => {
                self.lockout().forget(&account.id);
                Ok(account)
            }
            None => Err(SignInError::Refused(why_not)),
        }
    }

    async fn by_passkey(
        &self,
        answer: &str,
        begun: &Authentication,
        ticket: &str,
        until: Timestamp,
    ) -> Result<Arc<Account>, SignInError> {
        let refused = |error: CeremonyError| {
            warn!(error = %error, "a passkey was not accepted");
            SignInError::Refused("the passkey was not accepted")
        };
        let shown = Shown::parse(answer).map_err(refused)?;
        let account = self
            .accounts()
            .by_passkey(shown.id())
            .ok_or(SignInError::Refused("nobody has this passkey"))?;
        if !self.may_sign_in(&account) {
            return Err(SignInError::Refused("the account is disabled"));
        }
        // The device says whose key it is; an answer that leaves it out was not made for this form.
        if shown.user() != Some(account.id.as_bytes()) {
            return Err(SignInError::Refused("the passkey is for somebody else"));
        }
        let passkey = account
            .passkeys
            .iter()
            .find(|passkey| passkey.id() == shown.id())
            .ok_or(SignInError::Refused("nobody has this passkey"))?;
        let changed = self
            .ceremonies()
            .finish_authentication(&shown, begun, passkey)
            .map_err(refused)?;
        // The challenge counts once.
        if !self.use_once(ticket, until).await? {
            return Err(SignInError::Refused("the form was used already"));
        }
        let now = self.now();
        let is_stale = passkey.used.is_none_or(|used| now.since(used) > USED_LAG);
        if changed.is_some() || is_stale {
            let mut kept = changed.unwrap_or_else(|| passkey.clone());
            kept.used = Some(now);
            let (accounts, id) = (Arc::clone(self.accounts()), account.id.clone());
            let written = spawn_blocking(move || {
                accounts.change(&id, |account| {
                    let mut passkeys = account.passkeys.iter_mut();
                    // Under the file's lock: of a device and its copy that sign in at once, one does.
                    let place = passkeys
                        .find(|other| other.id() == kept.id())
                        .filter(|place| kept.is_after(place))
                        .ok_or(AccountsError::Unknown)?;
                    *place = kept;
                    Ok(())
                })
            });
            match written.await.map_err(|_| LocalError::Thread)? {
                Err(AccountsError::Unknown) => {
                    return Err(SignInError::Refused(
                        "the passkey was used or removed meanwhile",
                    ));
                }
                written => written.map_err(LocalError::from)?,
            }
        }
        Ok(account)
    }

    /// Accounts of a demonstration are for whoever reads its screen.
    pub(super) fn may_sign_in(&self, account: &Account) -> bool {
        !account.is_disabled && (!account.is_demo || self.is_demo())
    }

    pub(super) fn desk_pass(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<String, LocalError> {
        let pass = DeskPass {
            until: now + FORM_LIFETIME,
            account: account.id.clone(),
            version: account.version(),
        };
        ticket::seal(&pass, self.passes(), self.host())
    }

    /// Whether this is the first time; a mark is left until what it stands for has ended.
    pub(super) async fn use_once(&self, id: &str, until: Timestamp) -> Result<bool, LocalError> {
        let now = self.now();
        Ok(self
            .store()
            .put_new(ticket::used_key(id), Vec::new(), until, now)
            .await?)
    }
}
