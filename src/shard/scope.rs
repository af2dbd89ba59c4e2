//! Entries of a scope: found by a tag and the scope's number, without their key.

use super::Shard;
use crate::cause::Cause;
use crate::form::{Form, extra::Extra};
use crate::leave::outbox::Outbox;
use crate::ledger::Ledger;
use crate::policy::{Slot, Tag};

impl<K, V, F: Form> Shard<K, V, F> {
    /// The slot of an entry with this tag that belongs to this scope.
    pub(crate) fn slot_of_scope(&self, tag: Tag, scope: u32) -> Option<Slot> {
        let belongs = |extra: &F::Extra| extra.origin().scope == scope;
        self.table.slot_where(tag, |entry| belongs(entry.extra()))
    }

    /// Takes out an entry with this tag that belongs to this scope; says whether there was one.
    pub(crate) fn end_scope(
        &mut self,
        tag: Tag,
        scope: u32,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let slot = self.slot_of_scope(tag, scope);
        if let Some(slot) = slot {
            self.remove(slot, Cause::ScopeEnded, ledger, out);
        }
        slot.is_some()
    }

    /// Entries with this tag that belong to this scope belong to none any more.
    pub(crate) fn keep_of_scope(&mut self, tag: Tag, scope: u32) {
        while let Some(slot) = self.slot_of_scope(tag, scope) {
            let mut origin = self.origin_at(slot);
            origin.scope = 0;
            let Some(entry) = self.table.get(slot) else {
                return;
            };
            entry.extra().set_origin(origin);
            if let Some(flows) = self.flows() {
                flows.kept();
            }
        }
    }
}
