//! May this person do this? Pure: no I/O, no clock but the argument, no HTTP type.

mod request;
mod route;

pub use self::{
    request::{AccessRequest, ClientKind},
    route::RouteSettings,
};
