//! Length-prefixed fields: the one way this crate feeds several values to a hash or an AEAD.

/// Fields, each behind its length as a 64-bit big-endian number: no two lists share an encoding.
pub(crate) struct Fields(Vec<u8>);

impl Fields {
    /// Begins with the domain, which keeps uses of one key apart.
    pub(crate) fn new(domain: &str) -> Self {
        Self::within(Vec::with_capacity(256), domain)
    }

    /// As [`new`](Self::new), in memory that is done with.
    pub(crate) fn within(mut memory: Vec<u8>, domain: &str) -> Self {
        memory.clear();
        Self(memory).with(domain.as_bytes())
    }

    pub(crate) fn with(mut self, field: &[u8]) -> Self {
        self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// The first `N` bytes of the input, which moves on behind them; none if there are fewer.
pub(crate) fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}
