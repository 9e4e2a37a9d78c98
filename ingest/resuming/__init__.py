"""Resumable uploads (draft-ietf-httpbis-resumable-upload): what arrived of a body waits in memory for its client."""
