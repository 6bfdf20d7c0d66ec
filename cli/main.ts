#!/usr/bin/env node
import { createProgram } from './program.js';
import { runProgram } from './run.js';

// After kill -9 of a terminal or a pager our output may have nowhere to go; that must not end what we keep running.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

await runProgram(createProgram(), process.argv);
