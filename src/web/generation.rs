//! Everything that requests are answered with, changed as one.
//!
//! # Why
//! A configuration is taken whole or not at all, and so is what was made of it: whoever had new rules with old cookies,
//! or an old provider with new routes, would answer as neither configuration says. A request looks once, at its
//! beginning, and keeps what it found until it is answered.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Extensions, ServiceRequest, ServiceResponse},
    http::header::{CONNECTION, HeaderValue},
    middleware::Next,
    web::Data,
};
use arc_swap::{ArcSwap, Guard};
use thiserror::Error;

use super::{
    ServerSettings,
    admin::AdminToken,
    cookie::Cookies,
    csrf::Csrf,
    idp::Documents,
    page::Shell,
    server::Parts,
    verify::{Decider, DeciderError},
    well_known::Published,
};
use crate::{crypto::CryptoError, proxy::TrustedProxies};

/// What one configuration was made into.
pub struct Generation {
    parts: Parts,
    decider: Arc<Decider>,
    csrf: Data<Csrf>,
    published: Data<Published>,
    cookies: Data<Cookies>,
    trusted: Data<TrustedProxies>,
    documents: Option<Data<Documents>>,
    admin: Option<Data<AdminToken>>,
}

/// Why requests cannot be answered with some parts.
#[derive(Debug, Error)]
pub enum GenerationError {
    /// Nothing can decide.
    #[error(transparent)]
    Decider(#[from] DeciderError),
    /// A key cannot be derived.
    #[error("cannot prepare the pages")]
    Keys(#[from] CryptoError),
}

impl Generation {
    /// Of these parts.
    pub fn new(settings: &ServerSettings, parts: Parts) -> Result<Self, GenerationError> {
        let trusted = TrustedProxies::new(settings.trusted_proxies.clone());
        Ok(Self {
            decider: Arc::new(Decider::new(&parts, trusted.clone())?),
            csrf: Data::new(Csrf::new(parts.keyring.csrf()?)),
            published: Data::new(Published::new(Arc::clone(&parts.keyring))),
            cookies: Data::new(Cookies::new(&parts.places, &parts.lifetimes)),
            trusted: Data::new(trusted),
            documents: parts.local.as_deref().map(Documents::new).map(Data::new),
            admin: settings.admin_token.clone().map(AdminToken).map(Data::new),
            parts,
        })
    }

    /// The journeys.
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) const fn decider(&self) -> &Arc<Decider> {
        &self.decider
    }

    /// What handlers of pages and of readiness ask for by its type.
    fn data(&self) -> Extensions {
        let Self {
            parts,
            csrf,
            published,
            cookies,
            trusted,
            documents,
            admin,
            ..
        } = self;
        let mut data = Extensions::new();
        data.insert(Data::from(Arc::clone(&parts.login)));
        data.insert(Data::from(Arc::clone(&parts.programs)));
        data.insert(Data::from(Arc::clone(&parts.logout)));
        data.insert(Data::from(Arc::clone(&parts.account)));
        data.insert(Data::from(Arc::clone(&parts.roster)));
        data.insert(Data::from(Arc::clone(&parts.metrics)));
        data.insert(Data::from(Arc::clone(&parts.sessions)));
        data.insert(Data::new(parts.places.clone()));
        data.insert(Data::new(parts.providers.clone()));
        data.insert(Data::clone(csrf));
        data.insert(Data::clone(published));
        data.insert(Data::clone(cookies));
        data.insert(Data::clone(trusted));
        data.insert(Shell::new(parts.is_demo));
        if let Some(over) = &parts.session_over {
            data.insert(Data::from(Arc::clone(over)));
        }
        if let Some(verifier) = &parts.verifier {
            data.insert(Data::from(Arc::clone(verifier)));
        }
        if let Some(authenticate) = &parts.authenticate {
            data.insert(Data::from(Arc::clone(authenticate)));
        }
        if let (Some(local), Some(documents)) = (&parts.local, documents) {
            data.insert(Data::from(Arc::clone(local)));
            data.insert(Data::clone(documents));
        }
        if let Some(admin) = admin {
            data.insert(Data::clone(admin));
        }
        data
    }
}

/// The generation in force. Clones share it.
#[derive(Clone)]
pub struct Current {
    shared: Arc<Shared>,
    /// Counted, and never looked at.
    _listener: Option<Arc<()>>,
}

struct Shared {
    generation: ArcSwap<Generation>,
    is_leaving: AtomicBool,
    /// Shared with each listener, to see when the last has gone.
    listeners: Arc<()>,
}

impl Current {
    /// Begins with this one.
    pub fn new(generation: Generation) -> Self {
        let shared = Arc::new(Shared {
            generation: ArcSwap::from_pointee(generation),
            is_leaving: AtomicBool::new(false),
            listeners: Arc::default(),
        });
        Self {
            shared,
            _listener: None,
        }
    }

    /// The same, for a listener.
    pub(super) fn for_listener(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            _listener: Some(Arc::clone(&self.shared.listeners)),
        }
    }

    /// The one in force now.
    pub fn load(&self) -> Guard<Arc<Generation>> {
        self.shared.generation.load()
    }

    /// From now on requests are answered with this one; those under way end as they began.
    pub fn replace(&self, generation: Generation) {
        self.shared.generation.store(Arc::new(generation));
    }

    /// Whether a listener still has this.
    pub fn is_listened_with(&self) -> bool {
        Arc::strong_count(&self.shared.listeners) > 1
    }

    /// From now on this process counts as not ready, and each answer asks its client to go elsewhere.
    pub fn leave(&self) {
        self.shared.is_leaving.store(true, Ordering::SeqCst);
    }

    /// Whether [`Self::leave`] was said.
    pub fn is_leaving(&self) -> bool {
        self.shared.is_leaving.load(Ordering::Relaxed)
    }
}

/// Has a request find the generation that is in force now, whatever is in force when it is answered. The outermost: all
/// others see what it found.
pub(super) async fn pin<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let Some(current) = request.app_data::<Data<Current>>().cloned() else {
        return next.call(request).await;
    };
    // Only the data is kept: a generation that is over ends with the last request that needs a part of it.
    request.add_data_container(Rc::new(current.load().data()));
    let mut response = next.call(request).await?;
    if current.is_leaving() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}
