//! The service between two changes: immutable, and exchanged as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_kms::KmsError;

use super::closing::stopped;
use super::document::Document;
use super::stack::Stack;
use super::{Configuration, ServiceState};

/// What is configured and the backends made of it.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    pub(super) document: Document,
    /// Every backend of the configuration, or why it cannot be set up.
    pub(super) stacks: BTreeMap<String, Result<Arc<Stack>, String>>,
}

impl Snapshot {
    pub(super) fn configuration(&self) -> Result<&Configuration, KmsError> {
        self.document.configuration.as_ref().ok_or(KmsError::NotConfigured)
    }

    pub(super) fn is_running(&self) -> bool {
        let Document { configuration, started, sealed, .. } = &self.document;
        configuration.is_some() && *started && !*sealed
    }

    /// Refuses every use and every change of a key unless the service runs.
    pub(super) fn check_running(&self) -> Result<(), KmsError> {
        self.configuration()?;
        if self.document.sealed {
            return Err(KmsError::ServiceSealed);
        }
        if !self.document.started {
            return Err(stopped());
        }
        Ok(())
    }

    pub(super) fn state(&self) -> ServiceState {
        let Document { configuration, started, sealed, .. } = &self.document;
        match configuration {
            None => ServiceState::NotConfigured,
            Some(_) if *sealed => ServiceState::Sealed,
            Some(_) if !*started => ServiceState::Configured,
            Some(configuration) if matches!(self.stacks.get(&configuration.in_force), Some(Ok(_))) => ServiceState::Running,
            Some(_) => ServiceState::Error,
        }
    }

    /// The backend in force.
    pub(super) fn in_force(&self) -> Result<&Arc<Stack>, KmsError> {
        self.stack(&self.configuration()?.in_force)
    }

    /// The backend of this name, which wrapped something: there is none in its place.
    pub(super) fn stack(&self, name: &str) -> Result<&Arc<Stack>, KmsError> {
        match self.stacks.get(name) {
            Some(Ok(stack)) => Ok(stack),
            Some(Err(reason)) => Err(KmsError::Unavailable(format!("the backend {name} cannot be set up: {reason}"))),
            None => Err(KmsError::Unavailable(format!(
                "no backend of the name {name} is configured: POST /kms/reconfigure with \"name\": \"{name}\", its backend_type and its fields"
            ))),
        }
    }

    /// The backend of this name if it is set up.
    pub(super) fn in_stacks(&self, name: &str) -> Option<Arc<Stack>> {
        self.stacks.get(name)?.as_ref().ok().cloned()
    }

    /// The backends that are set up.
    pub(super) fn live(&self) -> impl Iterator<Item = &Arc<Stack>> {
        self.stacks.values().filter_map(|stack| stack.as_ref().ok())
    }

    /// The names of all backends, the one in force first.
    pub(super) fn names(&self) -> Vec<String> {
        let in_force = self.document.configuration.as_ref().map(|configuration| configuration.in_force.clone());
        let others = self.stacks.keys().filter(|name| Some(*name) != in_force.as_ref()).cloned();
        in_force.iter().cloned().chain(others).collect()
    }
}
