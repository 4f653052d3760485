// Package protection is the admission of deletions: objects that carry the label policy.kruise.io/delete-protection are
// refused to be deleted as plan/protection decides.
//
// It promises that the API server asks about objects with the label alone, so no other deletion ever waits for a manager;
// that a deletion which cannot be judged is refused; and that every refusal is counted and logged.
package protection
