"""Snakemake wrapper of `barcodemae identify`; see meta.yaml."""

from snakemake.shell import shell


log = snakemake.log_fmt_shell(stdout=False, stderr=True)
report = "--report {snakemake.output.report:q}" if "report" in snakemake.output.keys() else ""
extra = snakemake.params.get("extra", "")
shell(
    "barcodemae identify {snakemake.input.sequences:q}"
    " --reference {snakemake.input.reference:q} --threads {snakemake.threads}"
    " --output {snakemake.output.names:q} " + report + " {extra} {log}"
)
