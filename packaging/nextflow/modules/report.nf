// All samples beside each other on one page: barcodemae report.
process BARCODEMAE_REPORT {
    label 'process_single'

    conda "bioconda::barcodemae=0.1.0"
    container "barcodemae:0.1.0"

    input:
    path tables

    output:
    path "report.html", emit: report

    script:
    """
    barcodemae report ${tables} --output report.html
    """

    stub:
    """
    touch report.html
    """
}
