"""The core of Erni Audio: one recording from a front door to its transcript. It knows no platform."""
