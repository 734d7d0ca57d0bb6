//! Whole files through the importer.
