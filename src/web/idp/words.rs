//! What people read when something did not work, and when it did.

use crate::local::{AccountsError, ChangeError, LocalError, PasswordError};

/// One sentence for every reason, so that nobody learns which addresses are known.
pub(super) const REFUSED: &str =
    "The e-mail address or the password is not right, or the account cannot be used just now.";
/// The same for passkeys.
pub(super) const PASSKEY_REFUSED: &str =
    "This passkey was not accepted, or the account cannot be used just now.";
/// The desk closes after a while.
pub(super) const DESK_OVER: &str =
    "Your time to make changes is over. Nothing was changed. Sign in once more to go on.";

/// Which field of a form a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Password,
    Passkey,
    /// All of it.
    Form,
}

/// What is wrong with what somebody typed or showed, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) field: Field,
    pub(super) text: &'static str,
}

/// The two fields differ.
pub(super) const NOT_THE_SAME: Problem = Problem {
    field: Field::Password,
    text: "The two passwords are not the same. Type the new password twice.",
};
/// The script has not run.
pub(super) const NO_PASSKEY: Problem = Problem {
    field: Field::Passkey,
    text: "Your browser did not send a passkey. It needs JavaScript for that.",
};

/// The form has waited for too long.
pub(super) const FORM_OVER: Problem = Problem {
    field: Field::Form,
    text: "The page was open for too long, and nothing was done. Please choose again.",
};

/// What somebody can mend; `None` for what they cannot.
pub(super) const fn problem(error: &ChangeError) -> Option<Problem> {
    let (field, text) = match error {
        ChangeError::Password(error) => return password_problem(*error),
        ChangeError::Passkey(_) => (
            Field::Passkey,
            "The passkey was not accepted. Try again, or use another device.",
        ),
        ChangeError::LastWay => (
            Field::Passkey,
            "Nothing would be left to sign in with. Add a password or another passkey first.",
        ),
        ChangeError::TooMany => (
            Field::Passkey,
            "You have as many passkeys as an account can have. Remove one first.",
        ),
        ChangeError::Failure(LocalError::Accounts(AccountsError::PasskeyTaken)) => {
            (Field::Passkey, "This passkey is registered already.")
        }
        ChangeError::Failure(LocalError::Accounts(AccountsError::Listed)) => (
            Field::Form,
            "Your administrator keeps the accounts in a file. Ask there for a change.",
        ),
        ChangeError::Over | ChangeError::Failure(_) => return None,
    };
    Some(Problem { field, text })
}

const fn password_problem(error: PasswordError) -> Option<Problem> {
    let text = match error {
        PasswordError::TooShort => "The password is too short. Use at least 12 characters.",
        PasswordError::TooLong => "The password is too long. Use at most 256 bytes.",
        PasswordError::TooPlain => {
            "The password repeats a few characters. Use at least 5 different ones."
        }
        PasswordError::SameAsPerson => {
            "The password is your e-mail address or your name. Choose another."
        }
        PasswordError::Hash | PasswordError::Hashing => return None,
    };
    Some(Problem {
        field: Field::Password,
        text,
    })
}

/// What was done, by the action that did it.
pub(super) fn done(action: &str) -> Option<&'static str> {
    Some(match action {
        "password" => {
            "Your password was changed. All other sessions have ended; from now on sign in with the new one."
        }
        "no_password" => {
            "Your password was removed. All other sessions have ended; from now on sign in with a passkey."
        }
        "add_passkey" => "The passkey was added. You can sign in with it from now on.",
        "remove_passkey" => "The passkey was removed. All other sessions have ended.",
        _ => return None,
    })
}
