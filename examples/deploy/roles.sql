-- Run once, when the database is first made: an owner of the tables, and a role that only serves from them.
CREATE ROLE memory_owner LOGIN PASSWORD 'change-me-owner';
CREATE ROLE memory_app LOGIN PASSWORD 'change-me-app';
CREATE DATABASE memory OWNER memory_owner;
\connect memory
CREATE EXTENSION vector;
