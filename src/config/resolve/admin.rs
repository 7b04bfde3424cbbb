//! What opens the admin API.

use crate::{
    config::{
        secret,
        section::{Foreign, Section},
    },
    crypto::Secret,
};

/// None where there is no admin API.
pub(super) fn read(root: &mut Section<'_>) -> Option<Secret> {
    let mut section = root.section("admin");
    let file = section.take("token_file");
    section.finish(&Foreign::NONE);
    secret::read(None, file)?.into_token()
}
