// Package doctest holds the tests that read the documentation and the source as
// text: the import and actor tables of docs/ARCHITECTURE.md, the words of
// docs/GLOSSARY.md, and rules of style that a compiler does not know. Each failure
// says what is wrong, why that matters and what to do. A rule that can no longer
// find a breach is worse than none, so every rule is also tried on a made-up one.
package doctest
