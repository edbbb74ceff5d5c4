#include "sidecar/routing/field_changes.hpp"

namespace tulle::routing {

void apply(const std::vector<FieldChange>& changes, Fields& fields) {
  for (const FieldChange& change : changes) {
    switch (change.action) {
      case FieldChange::Action::remove:
        fields.remove(change.name);
        break;
      case FieldChange::Action::append:
        fields.add(change.name, change.value);
        break;
      case FieldChange::Action::add_if_absent:
        if (!fields.get(change.name)) fields.add(change.name, change.value);
        break;
      case FieldChange::Action::overwrite:
        fields.set(change.name, change.value);
        break;
      case FieldChange::Action::overwrite_if_present:
        if (fields.get(change.name)) fields.set(change.name, change.value);
        break;
    }
  }
}

}  // namespace tulle::routing
