// Makes dist/socket.io.d.ts: the declarations that the TypeScript compiler writes for the modules in src, put
// into one file in the order of their imports. With --check it only compares, and fails on a difference.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const web = fileURLToPath(new URL(".", import.meta.url));
const target = join(web, "dist", "socket.io.d.ts");
const out = mkdtempSync(join(tmpdir(), "sockeye-types-"));

try {
  const tsc = join(web, "node_modules", ".bin", "tsc");
  execFileSync(tsc, ["-p", web, "--declaration", "--emitDeclarationOnly", "--outDir", out], { stdio: "inherit" });
  const text = build();
  if (!process.argv.includes("--check")) {
    writeFileSync(target, text);
  } else if (readFileSync(target, "utf8") !== text) {
    console.error("web/dist/socket.io.d.ts is not what web/src says: run npm run types");
    process.exitCode = 1;
  }
} finally {
  rmSync(out, { recursive: true });
}

function build() {
  const seen = new Set();
  const parts = [];
  const exported = [];
  const visit = (module) => {
    if (seen.has(module)) return;
    seen.add(module);
    const text = readFileSync(join(out, module + ".d.ts"), "utf8");
    for (const [, from] of text.matchAll(/ from "\.\/(\w+)"/g)) visit(from);
    if (module === "index") {
      for (const [, names] of text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)) {
        exported.push(...names.split(",").map((name) => name.replace(/\btype /, "").trim()));
      }
      exported.push("io");
    }
    parts.push(
      text
        .replace(/^(import|export) [^;]*? from "[^"]*";\n/gm, "")
        .replace(/^export (?:type )?\{[^}]*\};\n/gm, "")
        // What index does not name stays inside: a module's own exports are not the client's.
        .replace(/^export (declare |interface |type |abstract |const |class |function )/gm, "$1")
        .replace(/^(function|const|class|abstract class) /gm, "declare $1 ")
        .replace(/^    private .*\n/gm, "")
        .trim(),
    );
  };
  visit("index");
  return `// Made from web/src by types.js. Don't edit.

${parts.filter(Boolean).join("\n\n")}

export { ${[...new Set(exported)].sort().join(", ")} };

declare global {
  /** The client as the classic script leaves it. */
  var io: typeof import("./socket.io").io & typeof import("./socket.io");
}
`;
}
