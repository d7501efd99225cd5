//! The query protocol of IAM and STS: a form that names an action and its parameters, answered in XML. Source: the API references of both.

mod params;
mod xml;

pub(crate) use params::PageRequest;
pub use params::Params;
pub(crate) use xml::{answer, refusal};
