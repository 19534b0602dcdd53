import * as client from "./index";

const { io } = client;

/** The classic script: one global, the function io, with everything else as its members. */
(globalThis as any).io = Object.assign(io, client, { default: undefined });
